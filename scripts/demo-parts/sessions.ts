/** The clients whose connections the demo mirrors, and the events on the way of their packets. */
import { createHash } from "node:crypto";
import {
  type CapturedFrame,
  ethernet,
  ip,
  mirrored,
  mirroredSegment,
  type Tcp,
  udp,
  UDP,
} from "../../test/support/frames.ts";

export const VNI = 5_569_041;
export const PORT = 80;
const MSS_BYTES = 1448;
const START_MS = Date.UTC(2026, 0, 15, 9, 30);
const RESPONSE = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 900\r\n\r\n${"<p>production</p>\n".repeat(50)}`;

/** A client's request, and whether all its packets arrive. */
export interface Sent {
  readonly line: string;
  readonly bytes: Uint8Array;
  readonly isWhole: boolean;
}

export interface Session {
  readonly client: string;
  readonly requests: Sent[];
  /** The events on the way of its packets. */
  readonly onTheWay: string;
  readonly frames: CapturedFrame[];
}

/** Both directions of one connection, as a mirror of production's interface sees them. */
class Conversation {
  readonly frames: CapturedFrame[] = [];
  /** Places in {@link frames} of the client's segments with bytes. */
  readonly dataFrames: number[] = [];
  private sequence: number;
  private acknowledgment = 0x51a7_0000;
  private timestampMs: number;

  constructor(
    private readonly client: string,
    private readonly clientPort: number,
    startMs: number,
  ) {
    this.sequence = 0x1000_0000 + clientPort * 65_537;
    this.timestampMs = START_MS + startMs;
    this.fromClient("S");
    this.fromServer("SA");
    this.fromClient("A");
  }

  request(text: string): void {
    const bytes = new TextEncoder().encode(text);
    for (let offset = 0; offset < bytes.length; offset += MSS_BYTES) {
      const payload = bytes.subarray(offset, offset + MSS_BYTES);
      this.dataFrames.push(this.frames.length);
      this.fromClient("PA", payload);
    }
    this.fromServer("A");
    this.fromServer("PA", new TextEncoder().encode(RESPONSE));
    this.fromClient("A");
  }

  close(): void {
    this.fromClient("FA");
    this.fromServer("FA");
    this.fromClient("A");
  }

  private fromClient(flags: string, payload: Uint8Array = new Uint8Array(0)): void {
    const { client: source, clientPort: sourcePort, sequence, acknowledgment } = this;
    this.add({
      source,
      sourcePort,
      destination: serverFor(source),
      destinationPort: PORT,
      sequence,
      acknowledgment,
      flags,
      payload,
    });
    this.sequence += payload.length + (/[SF]/.test(flags) ? 1 : 0);
  }

  private fromServer(flags: string, payload: Uint8Array = new Uint8Array(0)): void {
    const { client: destination, clientPort: destinationPort, sequence, acknowledgment } = this;
    this.add({
      source: serverFor(destination),
      sourcePort: PORT,
      destination,
      destinationPort,
      sequence: acknowledgment,
      acknowledgment: sequence,
      flags,
      payload,
    });
    this.acknowledgment += payload.length + (/[SF]/.test(flags) ? 1 : 0);
  }

  private add(segment: Tcp): void {
    this.timestampMs += 0.4;
    this.frames.push({ frame: mirroredSegment(segment, VNI), timestampMs: this.timestampMs });
  }
}

function serverFor(client: string): string {
  return client.includes(":") ? "2001:db8:a::10" : "10.0.1.10";
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: demo\r\nAccept: */*\r\n\r\n`;
}

function send(method: string, path: string, bodyBytes: number): string {
  const item = `{"sku": "A-1001", "quantity": 2, "price": "19.90"},\n`;
  const body = item.repeat(Math.ceil(bodyBytes / item.length)).slice(0, bodyBytes);
  return `${method} ${path} HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nContent-Length: ${bodyBytes}\r\n\r\n${body}`;
}

/** Changes of the frames between production and us; `data`: the places of those with the client's bytes. */
type OnTheWay = (frames: CapturedFrame[], data: number[]) => CapturedFrame[];

const inOrder: OnTheWay = (frames) => frames;

/** Each second frame with bytes overtakes the previous one. */
const reordered: OnTheWay = (frames, data) => {
  const order = [...frames];
  for (let i = 0; i + 1 < data.length; i += 2) exchange(order, data[i]!, data[i + 1]!);
  return order;
};

/** The SYN comes after the client's first bytes, and each frame with bytes comes twice. */
const doubled: OnTheWay = (frames, data) => {
  const order = frames.flatMap((frame, i) => (data.includes(i) ? [frame, frame] : [frame]));
  const [syn] = order.splice(0, 1);
  order.splice(data[0]!, 0, syn!);
  return order;
};

const LOST_SEGMENT = 4;
const oneLost: OnTheWay = (frames, data) => frames.filter((_, i) => i !== data[LOST_SEGMENT]);

function exchange(frames: CapturedFrame[], a: number, b: number): void {
  [frames[a], frames[b]] = [frames[b]!, frames[a]!];
}

function session(client: string, port: number, requests: string[], name: string, onTheWay: OnTheWay): Session {
  const conversation = new Conversation(client, port, (port % 7) * 3);
  const sent = requests.map((request): Sent => {
    const firstFrame = conversation.dataFrames.length;
    conversation.request(request);
    const isHit = onTheWay === oneLost && firstFrame <= LOST_SEGMENT && LOST_SEGMENT < conversation.dataFrames.length;
    const line = request.slice(0, request.indexOf(" HTTP/"));
    return { line, bytes: new TextEncoder().encode(request), isWhole: !isHit };
  });
  conversation.close();
  const { frames, dataFrames } = conversation;
  const times = frames.map(({ timestampMs }) => timestampMs);
  const arriving = onTheWay(frames, dataFrames);
  return {
    client: client.includes(":") ? `[${client}]:${port}` : `${client}:${port}`,
    requests: sent,
    onTheWay: name,
    // They arrive in this order, regardless of their sending times.
    frames: arriving.map(({ frame }, i) => ({ frame, timestampMs: times[Math.min(i, times.length - 1)]! })),
  };
}

export function makeSessions(): Session[] {
  return [
    session("203.0.113.7", 51_344, [get("/"), get("/style.css"), get("/logo.svg"), get("/cart")], "in order", inOrder),
    session("198.51.100.23", 40_122, [send("POST", "/api/orders", 18_000)], "reordered", reordered),
    session(
      "2001:db8:c::17",
      50_312,
      [get("/cart"), send("PUT", "/cart/17", 5000), get("/cart/17")],
      "doubled",
      doubled,
    ),
    session("192.0.2.150", 33_810, [get("/health")], "in order", inOrder),
    session("203.0.113.99", 60_401, [send("POST", "/api/reviews", 12_000), get("/reviews")], "1 lost", oneLost),
  ];
}

/** Also mirrored, but not ours: another mirror session's VNI, another port, DNS. */
export function makeNoise(): CapturedFrame[] {
  const segment: Tcp = {
    source: "203.0.113.7",
    sourcePort: 51_345,
    destination: "10.0.1.10",
    destinationPort: PORT,
    sequence: 1,
    flags: "PA",
    payload: new TextEncoder().encode(get("/not-ours")),
  };
  const dns = ethernet(ip("10.0.1.10", "10.0.0.2", UDP, udp(40_000, 53, new Uint8Array(40))));
  const frames = [
    mirroredSegment(segment, VNI + 1),
    mirroredSegment({ ...segment, sourcePort: 51_346 }, VNI + 1),
    mirroredSegment({ ...segment, destinationPort: 443 }, VNI),
    mirrored(dns, { vni: VNI }),
  ];
  return frames.map((frame, i) => ({ frame, timestampMs: START_MS + 3 + 5 * i }));
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
