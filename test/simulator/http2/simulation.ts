/**
 * The world of HTTP/2: random clients whose bytes have gaps, and an endpoint and further destinations with random
 * SETTINGS that refuse, reset, go away and end. No request is invented, each destination's limits are obeyed, every
 * request is in one counter of each destination, and a fault of one destination costs the others nothing. Throws an
 * error that begins with the seed if a rule does not hold.
 */
import type { StreamConsumer } from "../../../src/flow/stream.ts";
import type { Load } from "../../../src/forward/load.ts";
import { FrameType, Setting } from "../../../src/http/http2/frames.ts";
import { Http2Clients, Http2Endpoint, type ReadFrame, setting } from "../../forward/scripted-http2.ts";
import type { Scripted } from "../../forward/scripted.ts";
import { block, data, frame, headers, reset, word } from "../../http/http2/client-frames.ts";
import { Random } from "../../support/random.ts";
import { equal, within } from "../checks.ts";
import { randomClient, type RandomClient, type Truth } from "./client.ts";

const STEPS_MAX = 200_000;
const WINDOW_DEFAULT = 65_535;
const REFUSED_STREAM = 7;
const INTERNAL_ERROR = 2;
/** Longer than a slow destination takes. */
const RESPONSE_TIMEOUT_MS = 8000;
/** The number of destinations beside the endpoint. */
const FURTHER_MAX = 2;
/** The memory of each of them if it is little. */
const FEW_BYTES = 30_000;

export interface Http2Outcome {
  readonly requests: number;
  readonly served: number;
}

export function simulateHttp2(seed: number): Http2Outcome {
  try {
    return new Http2Simulation(seed).run();
  } catch (error) {
    throw new Error(
      `seed ${seed} (SIMULATOR_SEED=${seed} bun test test/simulator/http2): ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

function same(what: string, actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`${what} is ${actual.slice(0, 60)}, not ${expected.slice(0, 60)}`);
}

function knobsOf(random: Random) {
  const isBenign = random.chance(0.3);
  const harm = (most: number) => (isBenign || random.chance(0.5) ? 0 : random.next() * most);
  return {
    isBenign,
    clients: random.pick([1, 1, 3]),
    requestsMax: random.pick([3, 10, 40]),
    bodyBytesMax: random.pick([20, 2000, 12_000]),
    takenBack: harm(0.3),
    cutOff: harm(0.2),
    pieceBytesMax: random.pick([30, 500, 1460]),
    missing: harm(0.1),
    mischief: harm(0.3),
    blocking: harm(0.3),
    maxRequestBytes: random.pick([10, 5000, 1 << 20]),
    maxWaitingRequests: isBenign ? 1000 : random.pick([3, 1000]),
    streams: random.pick([1, 3, 100, 1000]),
    window: random.pick([0, 1, 100, 65_535, 1 << 20]),
    frames: random.pick([16_384, 1 << 20]),
  };
}

type Knobs = ReturnType<typeof knobsOf>;

/** One of the endpoint's connections, which checks its input. */
class Side {
  readonly endpoint: Http2Endpoint;
  isOver = false;
  /** The last stream that it processes. */
  lastLooked = Infinity;
  private checked = 0;
  private window = WINDOW_DEFAULT;
  private readonly windows = new Map<number, number>();
  /** Streams that have not ended. */
  readonly open = new Set<number>();
  private highest = 0;

  constructor(
    private readonly world: Http2Clients,
    at: Scripted,
    private readonly knobs: Knobs,
    private readonly random: Random,
  ) {
    this.endpoint = world.acceptSilently("", at);
  }

  begin(): void {
    const { streams, window, frames } = this.knobs;
    this.say(
      frame(
        FrameType.SETTINGS,
        0,
        0,
        Buffer.concat([
          setting(Setting.MAX_CONCURRENT_STREAMS, streams),
          setting(Setting.INITIAL_WINDOW_SIZE, window),
          setting(Setting.MAX_FRAME_SIZE, frames),
        ]),
      ),
    );
  }

  say(...frames: Buffer[]): void {
    if (this.isOver) return;
    this.endpoint.say(...frames);
    this.check();
  }

  /** Checks the arrived bytes. */
  check(): void {
    this.endpoint.read();
    for (; this.checked < this.endpoint.frames.length; this.checked++) this.take(this.endpoint.frames[this.checked]!);
  }

  private take({ type, stream, payload }: ReadFrame): void {
    const { knobs } = this;
    within("a frame's length", payload.length, 16_384);
    if (type === FrameType.HEADERS && !this.windows.has(stream)) {
      equal("a stream's number", stream, this.highest === 0 ? 1 : this.highest + 2);
      this.highest = stream;
      this.windows.set(stream, knobs.window);
      this.open.add(stream);
      within("streams at once", this.open.size, knobs.streams);
    } else if (type === FrameType.DATA) {
      this.window -= payload.length;
      this.windows.set(stream, this.windows.get(stream)! - payload.length);
      if (payload.length > 0) within("bytes beyond a window", 0, Math.min(this.window, this.windows.get(stream)!));
    } else if (type === FrameType.RST_STREAM) {
      this.open.delete(stream);
    }
  }

  private path(stream: number): string {
    return this.endpoint.requests
      .get(stream)!
      .fields.find((field) => field.startsWith(":path"))!
      .slice(7);
  }

  /** Grants window to every stream that needs it. */
  update(): void {
    this.check();
    const increment = this.random.int(1, 40_000);
    if (this.window < WINDOW_DEFAULT) {
      this.window += increment;
      this.say(frame(FrameType.WINDOW_UPDATE, 0, 0, word(increment)));
    }
    for (const stream of this.open) {
      if (this.windows.get(stream)! >= WINDOW_DEFAULT) continue;
      this.windows.set(stream, this.windows.get(stream)! + increment);
      this.say(frame(FrameType.WINDOW_UPDATE, 0, stream, word(increment)));
    }
  }

  /** Responds to a request that has ended; or, if `isEarly`, to any request. */
  respond(isEarly: boolean): void {
    this.check();
    const ready = [...this.open].filter((stream) => isEarly || this.endpoint.requests.get(stream)!.isEnded);
    const looked = ready.filter((stream) => stream <= this.lastLooked);
    if (looked.length === 0) return;
    const stream = this.random.pick(looked);
    this.open.delete(stream);
    this.endpoint.requests.delete(-stream);
    const isShort = this.random.chance(0.3);
    const head = headers(stream, block([[":status", "200"]]), { end: isShort });
    const isAll = this.endpoint.requests.get(stream)!.isEnded;
    this.responded.push(this.path(stream));
    this.say(head, ...(isShort ? [] : [data(stream, "response", true)]), ...(isAll ? [] : [reset(stream, 0)]));
  }

  readonly responded: string[] = [];

  mischief(): void {
    this.check();
    const { random } = this;
    const streams = [...this.open];
    const kind = random.int(0, 3);
    if (kind === 0 && streams.length > 0) {
      const stream = random.pick(streams);
      this.open.delete(stream);
      this.say(reset(stream, random.pick([REFUSED_STREAM, INTERNAL_ERROR])));
    } else if (kind === 1) {
      const last = random.pick([0, ...streams, this.highest, 0x7fff_ffff]);
      const most = Math.max(last, ...this.begunResponses);
      this.lastLooked = Math.min(this.lastLooked, most);
      for (const stream of streams) if (stream > most) this.open.delete(stream);
      this.say(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(most), word(0)])));
    } else if (kind === 2) {
      this.close(random.chance(0.5) ? new Error("reset") : undefined);
    } else if (!this.isOver) {
      this.endpoint.socket.events.ended();
      this.isOver = true;
      this.world.settle();
    }
  }

  private get begunResponses(): number[] {
    return [...this.endpoint.requests.keys()].filter((stream) => !this.open.has(stream));
  }

  close(error?: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    this.endpoint.socket.events.closed(error);
    this.world.settle();
  }

  get isIdle(): boolean {
    return this.isOver || this.endpoint.socket.terminated;
  }
}

/** A destination, and its connections. */
interface Place {
  readonly name: string;
  readonly at: Scripted;
  readonly load: Load;
  /** Its behaviour. */
  readonly knobs: Knobs;
  readonly sides: Side[];
  /** It has no fault, and neither do its requests. */
  readonly getsAll: boolean;
}

class Http2Simulation {
  private readonly random: Random;
  /** The behaviour of the clients and the endpoint. */
  private readonly knobs: Knobs;
  private readonly places: readonly Place[];
  private readonly world: Http2Clients;
  private readonly clients: (RandomClient & { stream: StreamConsumer; next: number; isOver: boolean })[];
  private readonly truths = new Map<string, Truth>();

  constructor(seed: number) {
    this.random = new Random(seed);
    this.knobs = knobsOf(this.random);
    const { maxRequestBytes, maxWaitingRequests, clients } = this.knobs;
    const further = this.random.int(0, FURTHER_MAX);
    const isTight = this.random.chance(0.3);
    this.world = new Http2Clients({
      maxRequestBytes,
      maxWaitingRequests,
      responseTimeoutMs: RESPONSE_TIMEOUT_MS,
      further,
      ...(isTight ? { furtherBytes: FEW_BYTES } : {}),
    });
    this.places = [this.world, ...this.world.further].map((at, i) => this.place(at, i, isTight));
    this.clients = Array.from({ length: clients }, (_, i) => {
      const client = randomClient(i, this.knobs, this.random);
      for (const truth of client.truths) this.truths.set(truth.id, truth);
      return { ...client, stream: this.world.start(), next: 0, isOver: false };
    });
  }

  private place(at: Scripted, i: number, isTight: boolean): Place {
    const { mode } = this.world;
    const knobs = i === 0 ? this.knobs : knobsOf(this.random);
    return {
      name: i === 0 ? "the endpoint" : `further destination ${i}`,
      at,
      load: i === 0 ? mode.load : mode.further[i - 1]!.load,
      knobs,
      sides: [],
      getsAll: this.knobs.isBenign && knobs.isBenign && (i === 0 || !isTight),
    };
  }

  private get sides(): Side[] {
    return this.places.flatMap(({ sides }) => sides);
  }

  run(): Http2Outcome {
    let steps = 0;
    while (this.clients.some(({ isOver }) => !isOver)) {
      if (++steps > STEPS_MAX) throw new Error("it does not end");
      this.step();
    }
    this.drain();
    this.check();
    return { requests: this.truths.size, served: this.world.requests.answered };
  }

  private step(): void {
    const { random, world } = this;
    const chance = random.next();
    if (chance < 0.5) this.speak(random.pick(this.clients));
    else if (chance < 0.6) world.pass(random.int(1, 50));
    else if (chance < 0.7) this.accept(random.pick(this.places));
    else this.act(random.pick(this.places));
  }

  private speak(client: Http2Simulation["clients"][number]): void {
    if (client.isOver) return;
    const piece = client.pieces[client.next++];
    if (piece === undefined) {
      client.isOver = true;
      client.stream.end("fin");
      this.world.settle();
    } else if (typeof piece === "number") {
      client.stream.gap(piece);
      this.world.settle();
    } else {
      this.world.give(client.stream, piece);
    }
  }

  private accept({ at, knobs, sides }: Place): void {
    if (at.connector.attempts.length === 0) return;
    const side = new Side(this.world, at, knobs, this.random);
    sides.push(side);
    side.begin();
  }

  private act({ sides: all, knobs }: Place): void {
    const { random } = this;
    const sides = all.filter(({ isOver, endpoint }) => !isOver && !endpoint.socket.terminated);
    if (sides.length === 0) return;
    const side = random.pick(sides);
    if (random.chance(knobs.mischief * 0.4)) return side.mischief();
    if (random.chance(knobs.blocking)) side.endpoint.socket.takes = Array.from({ length: 3 }, () => random.int(0, 50));
    if (random.chance(0.5)) side.update();
    else side.respond(knobs.mischief > 0 && random.chance(0.1));
  }

  /** Each destination responds to all its requests, until no more come. */
  private drain(): void {
    const { world } = this;
    for (let quiet = 0, rounds = 0; quiet < 5; rounds++) {
      if (rounds > STEPS_MAX) throw new Error("draining does not end");
      for (const place of this.places) while (place.at.connector.attempts.length > 0) this.accept(place);
      let isBusy = false;
      for (const side of this.sides) {
        if (side.isOver || side.endpoint.socket.terminated) continue;
        side.endpoint.socket.takes = [];
        side.endpoint.socket.events.writable();
        world.settle();
        for (let i = 0; i < 3; i++) side.update();
        for (let left = side.open.size; left > 0; left--) side.respond(false);
        isBusy ||= side.open.size > 0;
        if (side.endpoint.socket.shutdowns > 0) side.close();
      }
      world.pass(100);
      quiet = isBusy && rounds < 200 ? 0 : quiet + 1;
    }
    world.pass(10_000);
    for (const side of this.sides) side.close();
    world.pass(5000);
  }

  private check(): void {
    const { world, truths, knobs } = this;
    const { requests } = world.counters;
    for (const place of this.places) this.checkPlace(place);
    world.checkVerdicts();
    if (knobs.missing === 0) equal("requests that were begun", requests.seen, truths.size);
    else within("requests that were begun", requests.seen, truths.size);
    equal("damage without gaps", knobs.missing === 0 ? requests.damaged : 0, this.cutOffCount());
  }

  private checkPlace(place: Place): void {
    const { name, at, load, sides } = place;
    const { requests, responses } = at.counters;
    const dropped = Object.values(requests.dropped).reduce((sum, count) => sum + count, 0);
    equal(`requests.seen of ${name}`, requests.seen, requests.forwarded + requests.damaged + dropped);
    const followed = requests.answered + responses.unanswered + responses.cancelled;
    equal(`requests.forwarded of ${name}`, requests.forwarded, followed);
    equal(`what ${name} is to get`, requests.seen, this.world.counters.requests.seen);
    equal(`what was damaged of it`, requests.damaged, this.world.counters.requests.damaged);
    equal(`bytes that are held for ${name}`, at.budget.usedBytes, 0);
    equal(
      `the load of ${name}`,
      load.busyPipes + load.waitingRequests + load.requestsBehindParts + load.awaitingPipes,
      0,
    );
    this.checkServed(sides);
    if (!place.getsAll) return;
    equal(`requests that ${name} answered`, requests.answered, this.truths.size);
    equal(`what ${name} served`, sides.flatMap(({ responded }) => responded).length, this.truths.size);
  }

  private cutOffCount(): number {
    if (this.knobs.missing > 0) return 0;
    return [...this.truths.values()].filter(({ isCutOff }) => isCutOff).length;
  }

  /** The complete requests of a destination are production's complete requests; it has responded to none twice. */
  private checkServed(sides: readonly Side[]): void {
    for (const { endpoint } of sides) {
      for (const { fields, body, trailer, isEnded } of endpoint.requests.values()) {
        const id = fields.find((field) => field.startsWith(":path"))!.slice(7);
        const truth = this.truths.get(id);
        if (truth === undefined) throw new Error(`${id} is nobody's request`);
        same(`the method of ${id}`, fields[0]!, `:method: ${truth.method}`);
        same(`the fields of ${id}`, fields.slice(4).join("\n"), truth.fields);
        if (!isEnded) continue;
        same(`the body of ${id}`, body, truth.body);
        same(`the trailer of ${id}`, trailer.join(), truth.trailer);
        same(`${id}, which was cut off`, truth.isCutOff ? "served" : "not", "not");
      }
    }
    const responded = sides
      .flatMap(({ responded }) => responded)
      .filter((id) => this.truths.get(id)!.method === "POST");
    equal("POSTs that were responded to twice", responded.length - new Set(responded).size, 0);
  }
}
