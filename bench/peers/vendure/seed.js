// Makes the schema and fills it with one region, one way to ship, one to pay, and so many products: seed.js ITEMS UNITS

const {
  ChannelService,
  LanguageCode,
  Product,
  ProductTranslation,
  ProductVariant,
  ProductVariantPrice,
  ProductVariantTranslation,
  StockAdjustment,
  StockLevel,
  StockLocation,
  TaxCategory,
  TransactionalConnection,
  bootstrap,
} = require("@vendure/core");
const { populate } = require("@vendure/core/cli");
const { config } = require("./vendure-config");

const CHUNK = 1000; // rows of one statement

const initialData = {
  defaultLanguage: LanguageCode.en,
  defaultZone: "Europe",
  countries: [{ name: "United Kingdom", code: "GB", zone: "Europe" }],
  taxRates: [{ name: "Standard Tax", percentage: 20 }],
  shippingMethods: [{ name: "Standard Shipping", price: 500 }],
  paymentMethods: [
    {
      name: "Standard Payment",
      handler: { code: "dummy-payment-handler", arguments: [{ name: "automaticSettle", value: "false" }] },
    },
  ],
  collections: [],
};

async function seed(items, units) {
  const synchronized = { ...config, dbConnectionOptions: { ...config.dbConnectionOptions, synchronize: true } };
  const app = await populate(() => bootstrap(synchronized), initialData);
  const channel = await app.get(ChannelService).getDefaultChannel();
  await app.get(TransactionalConnection).rawConnection.transaction(async (manager) => {
    const [taxCategory] = await manager.find(TaxCategory);
    const [stockLocation] = await manager.find(StockLocation);
    const languageCode = LanguageCode.en;

    // As FastImporterService does it, which takes minutes because it adds one after the other.
    const add = (entities) => manager.save(entities, { chunk: CHUNK });
    const products = Array.from({ length: items }, () => new Product({ enabled: true, channels: [channel] }));
    await add(products);
    const nameOf = (number) => `Item ${number}`;
    await add(
      products.map((base, n) => {
        const slug = `item-${n}`;
        return new ProductTranslation({ base, languageCode, name: nameOf(n), slug, description: "" });
      }),
    );
    const variants = products.map((product, n) => {
      return new ProductVariant({ product, sku: `ITEM-${n}`, taxCategory, trackInventory: "TRUE", channels: [channel] });
    });
    await add(variants);
    await add(variants.map((base, n) => new ProductVariantTranslation({ base, languageCode, name: nameOf(n) })));
    const { id: channelId, defaultCurrencyCode: currencyCode } = channel;
    await add(variants.map((variant) => new ProductVariantPrice({ variant, channelId, currencyCode, price: 1000 })));
    await add(
      variants.map((productVariant) => {
        return new StockLevel({ productVariant, stockLocation, stockOnHand: units, stockAllocated: 0 });
      }),
    );
    await add(
      variants.map((productVariant) => new StockAdjustment({ productVariant, stockLocation, quantity: units })),
    );
  });
  await app.close();
}

seed(...process.argv.slice(2).map(Number)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
