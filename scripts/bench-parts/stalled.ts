/** A destination that accepts connections and does nothing else: `bun stalled.ts HOST PORT`. */
import net from "node:net";

const [host, port] = process.argv.slice(2) as [string, string];
net.createServer({ pauseOnConnect: true }, (socket) => socket.on("error", () => {})).listen(Number(port), host);
