/** The bytes of real clients and a real server, written down as a mirror would deliver them. */
import net from "node:net";
import { PORT, VNI } from "../executable/sessions.ts";
import { type CapturedFrame, mirroredSegment, pcap } from "../support/frames.ts";

const SEGMENT_BYTES_MAX = 1400;
const FIRST_PORT = 30_000;
const CLIENT = "10.0.0.1";
const SERVER = "10.0.0.2";
const NOTHING = new Uint8Array(0);

interface Chunk {
  readonly isServers: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly timestampMs: number;
}

/** Whether a segment of the mirror is missing, by its number. */
type Loses = (number: number) => boolean;

/** Stands before a server, passes all bytes on, and keeps them. */
export class Recording implements Disposable {
  private readonly connections: Chunk[][] = [];
  private readonly server: net.Server;

  private constructor(to: number) {
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const chunks: Chunk[] = [];
      this.connections.push(chunks);
      const server = net.connect({ port: to, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      client.on("data", (bytes: Buffer) => keep(chunks, false, bytes));
      server.on("data", (bytes: Buffer) => keep(chunks, true, bytes));
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

  /** All connections as a savefile, each from its SYN to its FIN. `isBoth`: with the server's direction. */
  savefile(loses: Loses = () => false, isBoth = false): Uint8Array {
    const frames: CapturedFrame[] = [];
    for (const [i, chunks] of this.connections.entries()) {
      const own = isBoth ? chunks : chunks.filter(({ isServers }) => !isServers);
      mirror(own, FIRST_PORT + i, isBoth, (frame, isLost) => {
        if (!isLost || !loses(frames.length)) frames.push(frame);
      });
    }
    frames.sort((one, other) => one.timestampMs - other.timestampMs);
    return pcap(frames);
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}

function keep(chunks: Chunk[], isServers: boolean, bytes: Buffer): void {
  const timestampMs = performance.timeOrigin + performance.now();
  for (let at = 0; at < bytes.length; at += SEGMENT_BYTES_MAX)
    chunks.push({ isServers, bytes: Uint8Array.from(bytes.subarray(at, at + SEGMENT_BYTES_MAX)), timestampMs });
}

/** One connection's segments, in order. `mayBeLost`: the segment has bytes. */
function mirror(
  chunks: readonly Chunk[],
  port: number,
  isBoth: boolean,
  take: (frame: CapturedFrame, mayBeLost: boolean) => void,
): void {
  const next = [1000, 5000];
  const send = (isServers: boolean, flags: string, timestampMs: number, payload = NOTHING): void => {
    const [own, other] = isServers ? [1, 0] : [0, 1];
    const ends = isServers
      ? { source: SERVER, destination: CLIENT, sourcePort: PORT, destinationPort: port }
      : { source: CLIENT, destination: SERVER, sourcePort: port, destinationPort: PORT };
    const frame = mirroredSegment({ ...ends, sequence: next[own]!, acknowledgment: next[other]!, flags, payload }, VNI);
    take({ frame, timestampMs }, payload.length > 0);
    next[own]! += payload.length + (/[SF]/.test(flags) ? 1 : 0);
  };
  const [firstMs, lastMs] = [chunks[0]?.timestampMs ?? 0, chunks.at(-1)?.timestampMs ?? 0];
  send(false, "S", firstMs);
  if (isBoth) send(true, "SA", firstMs);
  for (const { isServers, bytes, timestampMs } of chunks) send(isServers, "PA", timestampMs, bytes);
  send(false, "FA", lastMs);
  if (isBoth) send(true, "FA", lastMs);
}
