-- An event is immutable; only its place in the feed is added once, after it has been committed.
CREATE FUNCTION refuse_other_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.position IS NULL AND NEW.position IS NOT NULL
            AND (NEW.id, NEW.type, NEW.subject_id, NEW.occurred_at, NEW.recorded_at, NEW.actor_id, NEW.request_id,
                 NEW.data, NEW.number)
            IS NOT DISTINCT FROM
                (OLD.id, OLD.type, OLD.subject_id, OLD.occurred_at, OLD.recorded_at, OLD.actor_id, OLD.request_id,
                 OLD.data, OLD.number)
        THEN
            RETURN NEW;
        END IF;
    ELSIF TG_TABLE_NAME = 'events_default' AND OLD.recorded_at < now() - interval '1 month' THEN
        RETURN OLD; -- past its time; the others go with their partition
    END IF;
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_are_immutable
BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_other_event();

CREATE TRIGGER events_are_not_emptied
BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Where events go that nobody has made a partition for: none is ever refused.
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- Make the partitions from the month of `since` to three months ahead. A month of which events are in the default
-- already stays there: nothing is moved, and nobody has to wait for that.
CREATE FUNCTION keep_event_partitions(since timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamp; -- in UTC
    starts timestamptz;
    ends timestamptz;
    partition text;
BEGIN
    FOR month IN
        SELECT generate_series(
            date_trunc('month', since AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months',
            interval '1 month'
        )
    LOOP
        partition := 'events_' || to_char(month, 'YYYY_MM');
        starts := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN EXISTS (SELECT FROM events_default WHERE recorded_at >= starts AND recorded_at < ends);
        EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)', partition, starts, ends);
    END LOOP;
END
$$;
