"""What can go wrong with payments."""

from api.core.errors import Conflict, RuleViolation


class PaymentReferenceTaken(Conflict):
    """The external reference stands for another payment."""

    code = "payment_reference_taken"
    message = "Another {kind} by {method} has this reference: of another order, or another amount."
    field = "reference"


class RefundExceedsPaid(Conflict):
    """More would be paid back than was paid."""

    code = "refund_exceeds_paid"
    message = "Only {paid} of this order has been paid; no more can be paid back."
    field = "amount"


class AmountZero(RuleViolation):
    """No money moved."""

    code = "out_of_range"
    message = "Send an amount above zero."
    field = "amount"


class ReturnUnknown(RuleViolation):
    """A refund names a return that the order does not have."""

    code = "return_not_found"
    message = "The order has no such return."
    field = "return_id"
