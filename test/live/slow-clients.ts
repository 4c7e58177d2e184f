/** Clients that open a connection, and send a byte a second; closed, they open another: slow-clients.ts PORT COUNT */
import type { Socket } from "bun";

const [adminPort, count] = process.argv.slice(2).map(Number) as [number, number];
const EVERY_MS = 1000;

async function client(): Promise<void> {
  let timer: ReturnType<typeof setInterval> | undefined;
  const again = () => {
    clearInterval(timer);
    setTimeout(() => void client(), EVERY_MS);
  };
  // One that is closed before it is open is closed as well.
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
