/** Clients that wait for each response: slow-client.ts HOST PORT CONNECTIONS REQUESTS (of each connection). */
import { ROUTES } from "./slow-routes.ts";

const [host, port, connections, requests] = process.argv.slice(2) as [string, string, string, string];
/** The pause between a connection's requests, and between the first ones. */
const PAUSE_MS = 20;

async function talk(number: number): Promise<void> {
  let isAnswered = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: host,
    port: Number(port),
    // Production's responses come in one segment each.
    socket: { data: () => isAnswered.resolve(), close: () => isAnswered.reject(new Error("production closed")) },
  });
  for (let i = 0; i < Number(requests); i++) {
    isAnswered = Promise.withResolvers<void>();
    const route = ROUTES[(number + i) % ROUTES.length]!;
    socket.write(`GET ${route}/${number * Number(requests) + i} HTTP/1.1\r\nHost: production.example\r\n\r\n`);
    await isAnswered.promise;
    await Bun.sleep(PAUSE_MS);
  }
  isAnswered.promise.catch(() => {});
  socket.end();
}

await Promise.all(
  Array.from({ length: Number(connections) }, async (_, number) => {
    await Bun.sleep((number * PAUSE_MS) / Number(connections));
    await talk(number);
  }),
);
