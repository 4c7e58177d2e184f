/**
 * Clients that open a connection and send a byte a second. After a close, they open another connection: slow-clients.ts
 * PORT COUNT
 */
import type { Socket } from "bun";

const [adminPort, count] = process.argv.slice(2).map(Number) as [number, number];
const EVERY_MS = 1000;

async function client(): Promise<void> {
  let timer: ReturnType<typeof setInterval> | undefined;
  const again = () => {
    clearInterval(timer);
    setTimeout(() => void client(), EVERY_MS);
  };
  // A client that is closed before its connection is open closes it then.
  const connecting = Bun.connect({
    hostname: "127.0.0.1",
    port: adminPort,
    socket: { data() {}, close: again, error() {}, connectError: again },
  });
  const socket: Socket | undefined = await connecting.catch(() => undefined);
  if (socket !== undefined) timer = setInterval(() => socket.write("x"), EVERY_MS);
}

await Promise.all(Array.from({ length: count }, client));
console.log("connected");
