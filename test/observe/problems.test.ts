/** Problems in words: when they begin, and when they are over. */
import { describe, expect, test } from "bun:test";
import { addressName } from "../../src/address.ts";
import { Strangers } from "../../src/decode/strangers.ts";
import { Counters } from "../../src/observe/counters.ts";
import { type DestinationGauges, type Gauges, together } from "../../src/observe/gauges.ts";
import {
  LOSS_SHARE_MAX,
  type Problem,
  type ProblemKind,
  type ProblemOptions,
  Problems,
  SILENCE_MS,
} from "../../src/observe/problems.ts";
import { NEAR_SHARE, UNANSWERED_MIN, UNANSWERED_SHARE_MAX } from "../../src/observe/destination-problems.ts";
import { WINDOW_LOOKS } from "../../src/observe/window.ts";

const MOST_BYTES = 10 * 2 ** 20;
const START_MS = Date.UTC(2026, 0, 1, 14, 2);
const OPTIONS: ProblemOptions = {
  address: { host: "10.0.0.9", port: 8080 },
  vnis: [42],
  ports: [80],
  vxlanPort: 4789,
  interfaceName: "eth0",
  maxWaitingRequests: 100,
  also: [],
  control: undefined,
  mode: "http",
};

/** A run with one look a second. */
class World {
  readonly counters: Counters;
  readonly strangers = new Strangers();
  gauges: Gauges;
  isInterfaceUp = true;
  nowMs = START_MS;
  readonly told: string[] = [];
  private readonly problems: Problems;

  constructor(options: Partial<ProblemOptions> = {}) {
    const further = options.also ?? [];
    this.counters = new Counters(further.map(addressName));
    const limits = { ...together([]), max_buffer_bytes: MOST_BYTES };
    this.gauges = { ...limits, destinations: further.map(() => limits) };
    this.problems = new Problems({ ...OPTIONS, ...options });
    this.look();
  }

  /** This many seconds pass; each may count something. */
  pass(seconds: number, count: (counters: Counters) => void = () => {}): void {
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1000;
      count(this.counters);
      this.look();
    }
  }

  private look(): void {
    const { counters, gauges, isInterfaceUp, strangers } = this;
    const { begun, ended } = this.problems.look(counters, { gauges, isInterfaceUp, strangers }, this.nowMs);
    const name = ({ kind, destination }: Problem) => (destination === undefined ? kind : `${kind} ${destination}`);
    this.told.push(...begun.map((each) => `+${name(each)}`), ...ended.map((each) => `-${name(each)}`));
  }

  get kinds(): ProblemKind[] {
    return this.problems.current.map(({ kind }) => kind);
  }

  message(kind: ProblemKind): string | undefined {
    return this.problems.current.find((problem) => problem.kind === kind)?.message;
  }

  sinceMs(kind: ProblemKind): number | undefined {
    return this.problems.current.find((problem) => problem.kind === kind)?.since_ms;
  }
}

/** An ordinary second. */
const usual = (counters: Counters) => {
  counters.frames.captured += 100;
  counters.frames.segments += 100;
  counters.reassembly.delivered_bytes += 99_000;
  counters.requests.seen += 50;
  counters.requests.forwarded += 50;
};

const gap = (bytes: number, gaps: number) => (counters: Counters) => {
  usual(counters);
  counters.reassembly.gap_bytes += bytes;
  counters.reassembly.gaps += gaps;
};

test("an ordinary load is no problem, at any length", () => {
  const world = new World();
  world.pass(300, usual);
  expect(world.told).toEqual([]);
});

describe("silence", () => {
  const seconds = SILENCE_MS / 1000;

  test("is reported after this time, with its causes in their order, and ends with the next frame", () => {
    const world = new World();
    world.pass(10, usual);
    world.pass(seconds - 1);
    expect(world.kinds).toEqual([]);
    world.pass(1);
    expect(world.kinds).toEqual(["nothing_captured"]);
    expect(world.sinceMs("nothing_captured")).toBe(START_MS + 10_000);
    world.pass(60);
    const message = world.message("nothing_captured")!;
    expect(message).toStartWith("No mirror frames for 2 minutes.");
    const causes = [
      "security group of this server (UDP 4789",
      "mirror filter (inbound TCP to port 80)",
      "session",
      "eth0",
    ];
    const places = [...causes, "VNI 42"].map((cause) => message.indexOf(cause));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
    world.pass(1, usual);
    expect(world.told).toEqual(["+nothing_captured", "-nothing_captured"]);
  });

  test("from the start on also counts as silence", () => {
    const world = new World();
    world.pass(seconds);
    expect(world.kinds).toEqual(["nothing_captured"]);
  });

  test("of our frames only: the message names the addressees of the others", () => {
    const world = new World();
    world.pass(1, usual);
    world.strangers.countVni(43);
    world.pass(seconds, ({ refused }) => (refused.frames += 5));
    expect(world.message("nothing_captured")).toStartWith(
      "No mirror frames for VNI 42 and port 80 for 1 minute, but 300 for others (VNI 43): is there traffic",
    );
  });

  test("of a savefile, or of an interface that is down, is no problem", () => {
    for (const [options, isUp] of [
      [{ interfaceName: undefined }, true],
      [{}, false],
    ] as const) {
      const world = new World(options);
      world.isInterfaceUp = isUp;
      world.pass(seconds * 2);
      expect(world.kinds).toEqual(isUp ? [] : ["interface_down"]);
    }
  });
});

describe("loss", () => {
  test.each([
    [0, []],
    [1, ["loss"]],
  ])("%d bytes beyond the limit for missing bytes: %j", (beyond, kinds) => {
    const world = new World();
    // All bytes of the second, arrived or missing.
    const all = 1_000_000;
    const lost = all * LOSS_SHARE_MAX + beyond;
    world.pass(1, ({ reassembly }) => {
      reassembly.gaps += 100;
      reassembly.gap_bytes += lost;
      reassembly.delivered_bytes += all - lost;
    });
    expect(world.kinds).toEqual(kinds as ProblemKind[]);
  });

  test("of 1 % is no problem, of more it is", () => {
    const world = new World();
    world.pass(WINDOW_LOOKS, gap(1000, 1));
    expect(world.kinds).toEqual([]);
    world.pass(WINDOW_LOOKS, gap(2000, 1));
    expect(world.message("loss")).toMatch(
      /^2\.0 % of the bytes of the last minute never arrived: .*NetworkSkipMirrorIn/,
    );
  });

  test("is over after a minute without loss", () => {
    const world = new World();
    world.pass(20, gap(5000, 1));
    world.pass(WINDOW_LOOKS, usual);
    expect(world.told).toEqual(["+loss", "-loss"]);
  });

  test("of a few gaps is an accident", () => {
    const world = new World();
    world.pass(9, gap(50_000, 1));
    expect(world.kinds).toEqual([]);
    world.pass(1, gap(50_000, 1));
    expect(world.kinds).toEqual(["loss"]);
  });

  test("is explained by frames that the kernel dropped, or ends that the mirror cut off, if there were any", () => {
    for (const [kind, words] of [
      ["kernel_dropped", "the kernel dropped frames"],
      ["truncated", "the mirror cuts off"],
    ] as const) {
      const world = new World();
      world.pass(20, (counters) => {
        gap(5000, 1)(counters);
        counters.frames[kind]++;
      });
      expect(world.kinds).toEqual([kind, "loss"]);
      expect(world.message("loss")).toContain(words);
      expect(world.message("loss")).not.toContain("NetworkSkipMirrorIn");
    }
  });
});

describe("limits", () => {
  test.each([
    [
      "longest_waiting_requests",
      NEAR_SHARE * 100 - 1,
      NEAR_SHARE * 100,
      "waiting_limit",
      "Up to 80 requests of one connection",
    ],
    ["buffer_bytes", NEAR_SHARE * MOST_BYTES - 1, NEAR_SHARE * MOST_BYTES, "buffer_limit", "8 of 10 MiB are held"],
  ] as const)("%s is near its limit at 80 %% of it", (name, below, near, kind, words) => {
    const world = new World();
    world.gauges = { ...world.gauges, [name]: below };
    world.pass(1, usual);
    expect(world.kinds).toEqual([]);
    world.gauges = { ...world.gauges, [name]: near };
    world.pass(1, usual);
    expect(world.kinds).toEqual([kind]);
    expect(world.message(kind)).toStartWith(words);
  });

  test("a savefile waits at them, so they are no problem", () => {
    const world = new World({ interfaceName: undefined });
    world.gauges = { ...world.gauges, longest_waiting_requests: 1000, buffer_bytes: 2 ** 30 };
    world.pass(1, usual);
    expect(world.kinds).toEqual([]);
  });
});

test("the endpoint is down from a failed connection to a successful one", () => {
  const world = new World();
  world.gauges = { ...world.gauges, connected_ms: START_MS };
  world.pass(1, usual);
  world.gauges = { ...world.gauges, unconnected_ms: START_MS + 1500 };
  world.pass(90, usual);
  expect(world.kinds).toEqual(["endpoint_down"]);
  expect(world.sinceMs("endpoint_down")).toBe(START_MS + 1500);
  expect(world.message("endpoint_down")).toStartWith(
    "The endpoint 10.0.0.9:8080 has taken no connections since 14:02:01 UTC",
  );
  world.gauges = { ...world.gauges, connected_ms: START_MS + 92_000 };
  world.pass(1, usual);
  expect(world.told).toEqual(["+endpoint_down", "-endpoint_down"]);
});

test("the message about an endpoint that is down names the counter of the mode", () => {
  for (const [mode, counter] of [
    ["http", "requests.dropped.endpoint_down"],
    ["tcp", "upstream.lost_bytes"],
  ] as const) {
    const world = new World({ mode });
    world.gauges = { ...world.gauges, unconnected_ms: START_MS };
    world.pass(1, usual);
    expect(world.message("endpoint_down")).toContain(counter);
  }
});

test("requests without a response, over 1 %", () => {
  const world = new World();
  world.pass(WINDOW_LOOKS, usual);
  world.pass(20, (counters) => {
    usual(counters);
    counters.responses.unanswered += 2;
  });
  expect(world.message("unanswered")).toStartWith("The endpoint 10.0.0.9:8080 did not respond to ");
});

test.each([
  ["as few as are an accident", UNANSWERED_MIN - 1, UNANSWERED_MIN - 1, []],
  ["more, and none other", UNANSWERED_MIN, UNANSWERED_MIN, ["unanswered"]],
  ["the share that may have none", UNANSWERED_MIN, UNANSWERED_MIN / UNANSWERED_SHARE_MAX, []],
  ["a little more than that", UNANSWERED_MIN, UNANSWERED_MIN / UNANSWERED_SHARE_MAX - 1, ["unanswered"]],
])("requests without a response: %s", (_what, count, of, kinds) => {
  const world = new World();
  world.pass(1, ({ requests, responses }) => {
    requests.forwarded += of;
    responses.unanswered += count;
  });
  expect(world.kinds).toEqual(kinds as ProblemKind[]);
});

test("a port that carries another service, and no HTTP, names the existing ports", () => {
  const world = new World();
  for (let i = 0; i < 30; i++) world.strangers.countPort(8443);
  world.pass(1, ({ frames, foreign }) => {
    frames.captured += 9;
    frames.segments += 9;
    foreign.unknown = 3;
  });
  expect(world.message("wrong_port")).toContain("Port 80 carries another service");
  expect(world.message("wrong_port")).toContain("port 8443");
  world.pass(1, usual);
  expect(world.kinds).toEqual([]);
});

describe("further destinations", () => {
  const [also, control] = [
    { host: "b", port: 1 },
    { host: "c", port: 2 },
  ];
  /** Sets gauges of the second destination. */
  const withSecond = (gauges: Gauges, second: Partial<DestinationGauges>): Gauges => ({
    ...gauges,
    destinations: gauges.destinations.map((each, i) => (i === 1 ? { ...each, ...second } : each)),
  });

  test("each is down from a failed connection to a successful one, and the endpoint is not", () => {
    const world = new World({ also: [also, control], control });
    world.gauges = withSecond(world.gauges, { unconnected_ms: START_MS + 1500 });
    world.pass(90, usual);
    expect(world.kinds).toEqual(["destination_down"]);
    expect(world.sinceMs("destination_down")).toBe(START_MS + 1500);
    expect(world.message("destination_down")).toMatch(
      /^The control c:2 has taken no connections since 14:02:01 UTC: .*meanwhile no difference can be recognised as noise/,
    );
    world.gauges = { ...world.gauges, unconnected_ms: START_MS + 91_000 };
    world.pass(1, usual);
    world.gauges = withSecond(world.gauges, { connected_ms: START_MS + 92_000 });
    world.pass(1, usual);
    expect(world.kinds).toEqual(["endpoint_down"]);
    expect(world.told).toEqual(["+destination_down c:2", "+endpoint_down", "-destination_down c:2"]);
  });

  test.each([
    [
      "longest_waiting_requests",
      79,
      80,
      "waiting_limit",
      "Up to 80 requests of one connection wait for the destination c:2",
    ],
    ["buffer_bytes", 8 * 2 ** 20 - 1, 8 * 2 ** 20, "buffer_limit", "8 of 10 MiB are held for the destination c:2"],
  ] as const)(
    "%s of one is near its own limit, and the message names the destination",
    (name, below, near, kind, words) => {
      const world = new World({ also: [also, control] });
      world.gauges = withSecond(world.gauges, { [name]: below });
      world.pass(1, usual);
      expect(world.kinds).toEqual([]);
      world.gauges = withSecond(world.gauges, { [name]: near });
      world.pass(1, usual);
      expect(world.told).toEqual([`+${kind} c:2`]);
      expect(world.message(kind)).toStartWith(words);
    },
  );

  test("requests without a response are reported for each destination", () => {
    const world = new World({ also: [also] });
    world.pass(20, (counters) => {
      usual(counters);
      counters.destinations[0]!.requests.forwarded += 50;
      counters.destinations[0]!.responses.unanswered += 2;
    });
    world.pass(20, (counters) => {
      usual(counters);
      counters.responses.unanswered += 2;
    });
    expect(world.told).toEqual(["+unanswered b:1", "+unanswered"]);
  });
});

test("the gauges of several shards are merged: the longest queue, the latest times, and sums of the rest", () => {
  const one = { ...together([]), waiting_requests: 3, longest_waiting_requests: 2, connected_ms: 5, upstream_open: 1 };
  const other = {
    ...together([]),
    waiting_requests: 4,
    longest_waiting_requests: 4,
    connected_ms: 3,
    upstream_open: 7,
  };
  expect(together([one, other])).toEqual({
    ...together([]),
    waiting_requests: 7,
    longest_waiting_requests: 4,
    connected_ms: 5,
    upstream_open: 8,
  });
  const further = [one, other].map((own) => ({ ...together([]), destinations: [together([]), own] }));
  const sum = { waiting_requests: 7, longest_waiting_requests: 4, connected_ms: 5, upstream_open: 8 };
  expect(together(further).destinations).toMatchObject([{ waiting_requests: 0, upstream_open: 0 }, sum]);
});
