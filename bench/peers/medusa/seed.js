// Fills an empty database with one region, one way to ship and so many products: medusa exec ./seed.js ITEMS UNITS
// Tells what a storefront needs to know, as one line of JSON.

const { ContainerRegistrationKeys, Modules, ProductStatus } = require("@medusajs/framework/utils");
const {
  createApiKeysWorkflow,
  createInventoryLevelsWorkflow,
  createProductsWorkflow,
  createRegionsWorkflow,
  createSalesChannelsWorkflow,
  createShippingOptionsWorkflow,
  createShippingProfilesWorkflow,
  createStockLocationsWorkflow,
  linkSalesChannelsToApiKeyWorkflow,
  linkSalesChannelsToStockLocationWorkflow,
} = require("@medusajs/medusa/core-flows");

const CHUNK = 200; // products of one workflow

exports.default = async ({ container, args }) => {
  const [items, units] = args.map(Number);
  const link = container.resolve(ContainerRegistrationKeys.LINK);
  const query = container.resolve(ContainerRegistrationKeys.QUERY);
  const fulfillment = container.resolve(Modules.FULFILLMENT);
  const run = async (workflow, input) => (await workflow(container).run({ input })).result;

  const [channel] = await run(createSalesChannelsWorkflow, { salesChannelsData: [{ name: "Shop" }] });
  const [region] = await run(createRegionsWorkflow, {
    regions: [{ name: "United Kingdom", currency_code: "gbp", countries: ["gb"], payment_providers: ["pp_system_default"] }],
  });
  const [place] = await run(createStockLocationsWorkflow, { locations: [{ name: "Main warehouse" }] });
  await run(linkSalesChannelsToStockLocationWorkflow, { id: place.id, add: [channel.id] });
  const [profile] = await run(createShippingProfilesWorkflow, { data: [{ name: "Default", type: "default" }] });
  const set = await fulfillment.createFulfillmentSets({
    name: "Delivery",
    type: "shipping",
    service_zones: [{ name: "United Kingdom", geo_zones: [{ type: "country", country_code: "gb" }] }],
  });
  const at = { [Modules.STOCK_LOCATION]: { stock_location_id: place.id } };
  await link.create({ ...at, [Modules.FULFILLMENT]: { fulfillment_set_id: set.id } });
  await link.create({ ...at, [Modules.FULFILLMENT]: { fulfillment_provider_id: "manual_manual" } });
  const [option] = await run(createShippingOptionsWorkflow, [
    {
      name: "Standard",
      price_type: "flat",
      provider_id: "manual_manual",
      service_zone_id: set.service_zones[0].id,
      shipping_profile_id: profile.id,
      type: { label: "Standard", description: "In a few days", code: "standard" },
      prices: [{ currency_code: "gbp", amount: 5 }],
      rules: [
        { attribute: "enabled_in_store", value: "true", operator: "eq" },
        { attribute: "is_return", value: "false", operator: "eq" },
      ],
    },
  ]);
  const [key] = await run(createApiKeysWorkflow, {
    api_keys: [{ title: "Shop", type: "publishable", created_by: "" }],
  });
  await run(linkSalesChannelsToApiKeyWorkflow, { id: key.id, add: [channel.id] });

  for (let first = 0; first < items; first += CHUNK) {
    const products = Array.from({ length: Math.min(CHUNK, items - first) }, (_, n) => ({
      title: `Item ${first + n}`,
      status: ProductStatus.PUBLISHED,
      shipping_profile_id: profile.id,
      sales_channels: [{ id: channel.id }],
      options: [{ title: "Size", values: ["One"] }],
      variants: [
        {
          title: "One",
          sku: `ITEM-${first + n}`,
          manage_inventory: true,
          options: { Size: "One" },
          prices: [{ currency_code: "gbp", amount: 10 }],
        },
      ],
    }));
    await run(createProductsWorkflow, { products });
  }
  const { data: kinds } = await query.graph({ entity: "inventory_item", fields: ["id"] });
  for (let first = 0; first < kinds.length; first += CHUNK) {
    const inventory_levels = kinds
      .slice(first, first + CHUNK)
      .map(({ id }) => ({ inventory_item_id: id, location_id: place.id, stocked_quantity: units }));
    await run(createInventoryLevelsWorkflow, { inventory_levels });
  }
  console.log(JSON.stringify({ key: key.token, region: region.id, option: option.id }));
};
