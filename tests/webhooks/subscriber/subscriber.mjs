// A subscriber: verifies every message with the official library, and tells what it got when asked.
//
//   SECRET=whsec_… node subscriber.mjs        prints its port, then serves until it is ended
//
// POST /hooks takes messages; GET /summary tells how many, which, and how many could not be verified.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.SECRET);
const seen = new Map();
const types = {};
let messages = 0;
let refused = 0;
let lastPosition = 0;
let disorder = 0;

const server = createServer((request, response) => {
  if (request.method === "GET") {
    const positions = rangeOf(seen);
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ messages, distinct: seen.size, refused, types, disorder, positions }));
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    messages += 1;
    try {
      const event = webhook.verify(Buffer.concat(parts), request.headers);
      const id = request.headers["webhook-id"];
      if (!seen.has(id)) {
        seen.set(id, event.position);
        types[event.type] = (types[event.type] ?? 0) + 1;
        if (event.position < lastPosition) disorder += 1;
        lastPosition = Math.max(lastPosition, event.position);
      }
      response.writeHead(204).end();
    } catch {
      refused += 1;
      response.writeHead(401).end();
    }
  });
});

function rangeOf(known) {
  const positions = [...known.values()].sort((one, other) => one - other);
  return { first: positions[0] ?? null, last: positions.at(-1) ?? null, distinct: new Set(positions).size };
}

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
