const {
  DefaultJobQueuePlugin,
  DefaultLogger,
  DefaultSchedulerPlugin,
  LogLevel,
  RedisCachePlugin,
  dummyPaymentHandler,
} = require("@vendure/core");

const redis = new URL(process.env.REDIS_URL);

exports.config = {
  logger: new DefaultLogger({ level: LogLevel.Warn }),
  apiOptions: { hostname: "127.0.0.1", port: Number(process.env.PORT), cors: false, csrfPrevention: true },
  authOptions: {
    cookieOptions: { secret: process.env.COOKIE_SECRET },
    superadminCredentials: { identifier: "superadmin", password: process.env.SUPERADMIN_PASSWORD },
  },
  dbConnectionOptions: { type: "postgres" }, // which one, PGHOST and the like tell the driver
  paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
  plugins: [
    DefaultJobQueuePlugin.init({ useDatabaseForBuffer: true }),
    DefaultSchedulerPlugin.init(),
    RedisCachePlugin.init({
      redisOptions: {
        host: redis.hostname,
        port: Number(redis.port),
        password: decodeURIComponent(redis.password),
        db: Number(redis.pathname.slice(1)),
      },
    }),
  ],
};
