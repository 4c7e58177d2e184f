/** What real clients say to a real server, written down as a mirror would have it. */
import net from "node:net";
import { session } from "../executable/sessions.ts";
import { type CapturedFrame, pcap } from "../support/frames.ts";

const SEGMENT_BYTES_MAX = 1400;
const FIRST_PORT = 30_000;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly timestampMs: number;
}

/** Stands before a server, passes all bytes on, and keeps the clients'. */
export class Recording implements Disposable {
  private readonly connections: Chunk[][] = [];
  private readonly server: net.Server;

  private constructor(to: number) {
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const chunks: Chunk[] = [];
      this.connections.push(chunks);
      const server = net.connect({ port: to, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      client.on("data", (bytes: Buffer) => {
        for (let at = 0; at < bytes.length; at += SEGMENT_BYTES_MAX)
          chunks.push({ bytes: Uint8Array.from(bytes.subarray(at, at + SEGMENT_BYTES_MAX)), timestampMs: Date.now() });
      });
      client.pipe(server);
      server.pipe(client);
      client.on("error", () => server.destroy());
      server.on("error", () => client.destroy());
    });
  }

  static async before(port: number): Promise<Recording> {
    const recording = new Recording(port);
    await new Promise<void>((resolve) => recording.server.listen(0, "127.0.0.1", resolve));
    return recording;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** All connections, each from its SYN to its FIN, as a savefile. `loses`: which of the segments are missing. */
  savefile(loses: (number: number) => boolean = () => false): Uint8Array {
    const frames: CapturedFrame[] = [];
    for (const [i, chunks] of this.connections.entries()) {
      const own = session(
        chunks.map(({ bytes }) => bytes),
        FIRST_PORT + i,
      );
      const [first, last] = [chunks[0]?.timestampMs ?? 0, chunks.at(-1)?.timestampMs ?? 0];
      for (const [place, { frame }] of own.entries()) {
        const timestampMs = chunks[place - 1]?.timestampMs ?? (place === 0 ? first : last);
        if (place === 0 || place > chunks.length || !loses(frames.length)) frames.push({ frame, timestampMs });
      }
    }
    frames.sort((one, other) => one.timestampMs - other.timestampMs);
    return pcap(frames);
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}
