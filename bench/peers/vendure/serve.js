// Starts so many servers at one port, as PM2's cluster mode does, and a worker for jobs: serve.js SERVERS
// Prints "ready" when all servers listen; everything else is said on standard error.

const cluster = require("node:cluster");

if (cluster.isPrimary) {
  let starting = Number(process.argv[2]);
  cluster.setupPrimary({ stdio: ["ignore", 2, 2, "ipc"] });
  cluster.on("listening", () => {
    starting -= 1;
    if (starting === 0) console.log("ready");
  });
  const children = Array.from({ length: starting }, () => cluster.fork({ ROLE: "server" }));
  children.push(cluster.fork({ ROLE: "worker" }));
  const end = () => process.exit(1);
  cluster.on("exit", end);
  process.once("SIGTERM", () => {
    cluster.off("exit", end);
    children.forEach((child) => child.process.kill());
  });
} else {
  const { bootstrap, bootstrapWorker } = require("@vendure/core");
  const { config } = require("./vendure-config");
  const started =
    process.env.ROLE === "server" ? bootstrap(config) : bootstrapWorker(config).then((worker) => worker.startJobQueue());
  started.catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
