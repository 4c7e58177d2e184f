import { describe, expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { camelCase, flagTable, otherFlagTable } from "../../src/cli/flags.ts";
import { readRequest } from "../../src/cli/options.ts";
import type { Config } from "../../src/config.ts";
import { UsageError } from "../../src/errors.ts";
import { editsOf } from "../support/policies.ts";
import { Random } from "../support/random.ts";

type Env = Record<string, string>;

const LIVE = ["eth0", "42", "80", "localhost:8080"];
const READ = ["--read", "mirror.pcap", "42", "80", "localhost:8080"];

/** The options, or the message of the refusal. */
function read(argv: string[], env: Env): Config | string {
  try {
    const request = readRequest(argv, env);
    if (request.kind !== "run") throw new Error(`${argv.join(" ")} was taken for --${request.kind}`);
    return request.config;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

/** Checks that a command line gives `want`: these options, or a refusal that contains these words. */
function check(argv: string[], env: Env, want: Partial<Config> | string[]): void {
  const got = read(argv, env);
  if (!Array.isArray(want)) {
    expect(got).toMatchObject(want);
    return;
  }
  if (typeof got !== "string") throw new Error(`${argv.join(" ")} was accepted`);
  for (const words of want) expect(got).toContain(words);
  expect(got).not.toContain("\n");
}

interface FlagCase {
  name: string;
  /** Further variables, in their order of precedence. */
  original: string[];
  default: unknown;
  /** Accepted texts and their values; the first two differ from the default and from each other. */
  accepted: [string, unknown][];
  refused: string[];
  /** Words about the accepted values that the message about a refused value must contain. */
  says: string[];
}

/** A time limit that is off by default. */
function secondsOrOff(name: string): FlagCase {
  return {
    name,
    original: [],
    default: Infinity,
    accepted: [
      ["600", 600],
      ["1", 1],
      [String(DAY_S), DAY_S],
      ["off", Infinity],
      ["OFF", Infinity],
    ],
    refused: ["0", String(DAY_S + 1), "none", "1.5", "-1", "of"],
    says: ["1", String(DAY_S), "off"],
  };
}

function count(name: string, defaultValue: number, min: number, max: number, rest: Partial<FlagCase> = {}): FlagCase {
  const accepted = [max, min + 2, min].map((value): [string, number] => [String(value), value]);
  const refused = [
    String(min - 1),
    String(max + 1),
    "abc",
    "1.5",
    "1e2",
    "0x10",
    "+1",
    " 1",
    "1 ",
    "1,000",
    "∞",
    "9".repeat(30),
    "1\n",
  ];
  return { name, original: [], default: defaultValue, accepted, refused, says: [String(min), String(max)], ...rest };
}

function text(name: string, says: string): FlagCase {
  const accepted: [string, string][] = ["/a/b.json", "with space", "a=b", "--dashes", "ünï"].map((value) => [
    value,
    value,
  ]);
  return { name, original: [], default: undefined, accepted, refused: [], says: [says] };
}

const path = (name: string) => text(name, "a path");

const DAY_S = 86_400;
const DAY_MS = DAY_S * 1000;

const FLAGS: FlagCase[] = [
  { ...path("read"), accepted: path("read").accepted.map(([text]) => [text, [text]]) },
  {
    name: "speed",
    original: [],
    default: "max",
    accepted: [
      ["1", 1],
      ["0.5", 0.5],
      [".001", 0.001],
      ["1000", 1000],
      ["MAX", "max"],
    ],
    refused: ["0", "-1", "fast", "1001", "1e3", "1.", "1,5", "∞"],
    says: ["max", "0.001", "1000"],
  },
  {
    name: "loop",
    original: [],
    default: 1,
    accepted: [
      ["2", 2],
      ["1", 1],
      ["1000000", 1_000_000],
    ],
    refused: ["0", "-1", "1.5", "ever", "1000001"],
    says: ["1", "1000000"],
  },
  {
    name: "mode",
    original: [],
    default: "http",
    accepted: [
      ["http", "http"],
      ["tcp", "tcp"],
      ["HTTP", "http"],
    ],
    refused: ["udp", "htt", "tcp ", "https"],
    says: ["http", "tcp"],
  },
  count("max-pending-packets", 32, 0, 1_000_000, { original: ["MAX_PENDING_PACKETS"] }),
  count("gap-timeout-ms", 1000, 1, DAY_MS),
  count("max-retries", 10, 0, 1_000_000, { original: ["MAX_RETRIES"] }),
  count("threads", availableParallelism(), 1, 256, { original: ["NUM_THREADS"] }),
  {
    name: "encapsulation",
    original: [],
    default: "vxlan",
    accepted: [
      ["vxlan", "vxlan"],
      ["geneve", "geneve"],
      ["GRE", "gre"],
    ],
    refused: ["erspan", "vxlan,gre", "off"],
    says: ["vxlan", "geneve", "gre", "none"],
  },
  count("vxlan-port", 4789, 1, 65_535),
  count("idle-timeout-s", 300, 1, DAY_S),
  count("connect-timeout-ms", 5000, 1, DAY_MS),
  count("outage-timeout-s", 60, 1, DAY_S),
  count("header-timeout-s", 60, 1, DAY_S),
  count("response-timeout-ms", 30_000, 1, DAY_MS),
  secondsOrOff("max-response-seconds"),
  count("fin-delay-ms", 1000, 0, DAY_MS),
  count("pipeline-depth", 1, 1, 1000),
  count("max-waiting-requests", 1024, 1, 1_000_000),
  count("max-request-bytes", 2 ** 20, 1, 2 ** 30),
  count("max-header-bytes", 2 ** 16, 64, 2 ** 24),
  ...["allow", "deny"].map((name) => ({
    name,
    original: [],
    default: [],
    accepted: [
      ["method:GET,safe", [{ kind: "method", pattern: "GET,safe" }]],
      ["header:X-A=*b=c", [{ kind: "header", pattern: "X-A=*b=c" }]],
      ["client:2001:db8::/32", [{ kind: "client", pattern: "2001:db8::/32" }]],
    ] as [string, unknown][],
    refused: ["GET", "methods:GET", "method:get", "path:", "client:a"],
    says: ["KIND:PATTERN"],
  })),
  {
    name: "sample",
    original: [],
    default: null,
    accepted: [
      ["10%", { percent: 10, key: "random", name: "" }],
      ["0.25%:cookie=id", { percent: 0.25, key: "cookie", name: "id" }],
    ],
    refused: ["0%", "ten", "10%:user", "10%:header="],
    says: ["PERCENT[:KEY]"],
  },
  {
    ...count("max-rate", Infinity, 1, 1_000_000),
    accepted: [
      ["100", 100],
      ["1", 1],
      ["1000000", 1_000_000],
    ],
  },
  {
    name: "rewrite-path",
    original: [],
    default: [],
    accepted: [
      ["^/v1/(.*)$=>/v2/$1", [{ regex: "^/v1/(.*)$", text: "/v2/$1" }]],
      ["/a=>", [{ regex: "/a", text: "" }]],
    ],
    refused: ["/a", "/a=/b", "(=>/b", "/a=>/b c", "/a=>/b?c", "/a=>/b#", "/a=>$1", "(a)=>$2", "a=>$", "a=>ü"],
    says: ["REGEX=>TEXT"],
  },
  {
    name: "remove-header",
    original: [],
    default: [],
    accepted: [
      ["Cookie", ["cookie"]],
      ["x-a_b", ["x-a_b"]],
    ],
    refused: ["X Y", "X:", "X-*", "Content-Length", "content_length", "TRANSFER-encoding", "Connection", "ü"],
    says: ["Content-Length"],
  },
  {
    name: "host",
    original: [],
    default: undefined,
    accepted: [
      ["endpoint", "endpoint"],
      ["test.internal:8080", "test.internal:8080"],
      ["[::1]", "[::1]"],
    ],
    refused: ["two words", "line\r\nX: y", "münchen"],
    says: ["printable characters"],
  },
  {
    name: "set-header",
    original: [],
    default: [],
    accepted: [
      ["X-Test: 1", [["X-Test", "1"]]],
      ["Authorization:  Basic a:b== ", [["Authorization", "Basic a:b=="]]],
      ["x-empty:", [["x-empty", ""]]],
    ],
    refused: [
      ...["X", ": 1", "X Y: 1", "X: ü", "Content-Length: 1", "transfer-encoding: chunked", "CONNECTION: close"],
      ...["Content_Length: 1", "transfer.encoding: chunked"],
    ],
    says: ["'Name: value'"],
  },
  {
    name: "also",
    original: [],
    default: [],
    accepted: [
      ["other:8080", [{ host: "other", port: 8080 }]],
      ["https://other", [{ host: "other", port: 443, isSecure: true }]],
      ["[::1]:80", [{ host: "::1", port: 80 }]],
    ],
    refused: ["other", "other:0", "ftp://other:21", "http://other/path"],
    says: ["host:port", "https://host[:port]"],
  },
  {
    name: "proxy-protocol",
    original: [],
    default: "pass",
    accepted: [
      ["strip", "strip"],
      ["pass", "pass"],
      ["STRIP", "strip"],
    ],
    refused: ["v1", "off", "pass,strip"],
    says: ["pass", "strip"],
  },
  {
    name: "http2",
    original: [],
    default: "auto",
    accepted: [
      ["auto", "auto"],
      ["requests", "requests"],
      ["PASS", "pass"],
    ],
    refused: ["on", "off", "h2c", "auto,pass"],
    says: ["auto", "requests", "pass"],
  },
  path("tls-ca"),
  path("tls-cert"),
  path("tls-key"),
  {
    name: "tls-server-name",
    original: [],
    default: undefined,
    accepted: [
      ["test.internal", "test.internal"],
      ["a", "a"],
      ["192.0.2.1", "192.0.2.1"],
      ["2001:db8::1", "2001:db8::1"],
      ["a".repeat(253), "a".repeat(253)],
    ],
    refused: ["two words", "münchen", "a/b", "a".repeat(254), "a\n"],
    says: ["a host's name"],
  },
  count("max-flows", 65_536, 1, 10_000_000),
  count("max-buffer-mib", 256, 1, 1024),
  count("capture-buffer-mib", 64, 1, 2047),
  path("record"),
  count("file-max-mib", 256, 1, 1 << 20),
  count("record-max-mib", 64, 1, 1 << 20),
  secondsOrOff("record-max-s"),
  count("record-files", 8, 1, 10_000),
  path("libpcap"),
  text("user", "the name of a user"),
  {
    name: "log-level",
    original: ["LOG_LEVEL", "RUST_LOG"],
    default: "info",
    accepted: [
      ["error", "error"],
      ["warn", "warn"],
      ["info", "info"],
      ["debug", "debug"],
      ["trace", "trace"],
      ["DEBUG", "debug"],
    ],
    refused: ["nonsense", "3", "verbose", "info,debug", "vxlan_to_http=debug"],
    says: ["error", "warn", "info", "debug", "trace"],
  },
  {
    name: "log-format",
    original: [],
    default: isatty(2) ? "pretty" : "plain",
    accepted: [
      ["json", "json"],
      ["pretty", "pretty"],
      ["plain", "plain"],
      ["JSON", "json"],
    ],
    refused: ["xml", "js on"],
    says: ["pretty", "plain", "json"],
  },
  path("summary"),
  {
    name: "admin",
    original: [],
    default: undefined,
    accepted: [
      ["9100", { host: "127.0.0.1", port: 9100 }],
      ["0", { host: "127.0.0.1", port: 0 }],
      ["65535", { host: "127.0.0.1", port: 65_535 }],
      ["0.0.0.0:9100", { host: "0.0.0.0", port: 9100 }],
      ["[::]:9100", { host: "::", port: 9100 }],
      ["replay.internal:80", { host: "replay.internal", port: 80 }],
    ],
    refused: ["65536", ":9100", "::1:9100", "[::g]:1", "1.2.3:9100", "a b:1", "http://a:1", "a:", "a:b", "-1", "on"],
    says: ["host:port", "a port of 127.0.0.1"],
  },
  path("differences"),
  {
    name: "control",
    original: [],
    default: undefined,
    accepted: [
      ["other:8080", { host: "other", port: 8080 }],
      ["http://other", { host: "other", port: 80 }],
    ],
    refused: ["other", "other:0", "ftp://other:21"],
    says: ["host:port", "https://host[:port]"],
  },
  ...[
    ["ignore", "header", "json", ["header:NAME", "path:GLOB"]] as const,
    ["redact", "query", "json", ["header:NAME", "json:PATH"]] as const,
  ].map(([name, one, other, says]) => ({
    name,
    original: [],
    default: [],
    accepted: [one, other].map((kind): [string, unknown] => [`${kind}:a.b`, [{ kind, pattern: "a.b" }]]),
    refused: ["header", "cookie:a", "header:", ":a", "header:*", "header:a,b"],
    says: [...says],
  })),
  count("max-compare-bytes", 1 << 20, 0, 1 << 26),
  {
    name: "compare-sample",
    original: [],
    default: 1,
    accepted: [
      ["10%", 0.1],
      ["0.5", 0.005],
      ["100", 1],
      ["0", 0],
    ],
    refused: ["101", "-1", "10 %", "ten", "1e1", "%"],
    says: ["percentage from 0 to 100"],
  },
];

/** Flags without a value. */
const SWITCHES = [
  "follow",
  "dry-run",
  "forwarded",
  "mark",
  "tls-insecure",
  "compare",
  "fail-on-differences",
  "no-redact",
];

/** DESIGN.md's rule. */
const variableOf = (name: string) => `VXLAN_TO_HTTP_${name.replaceAll("-", "_").toUpperCase()}`;

const to = (address: string) => [...LIVE.slice(0, -1), address];

/** Flags without an effect: arguments in which they have an effect, and the words of the message otherwise. */
const NEEDS: [names: string[], args: string[], says: string][] = [
  [["control", "differences", "ignore", "compare-sample", "max-compare-bytes"], ["--compare", ...LIVE], "--compare"],
  [["fail-on-differences"], ["--compare", ...LIVE], "--compare"],
  [["redact", "no-redact"], ["--also", "file:a.har", ...LIVE], "--compare or a file: destination"],
  [["tls-ca", "tls-server-name", "tls-insecure"], to("https://a"), "an https:// destination"],
  [["tls-cert"], ["--tls-key", "k.pem", ...to("https://a")], "--tls-key"],
  [["tls-key"], ["--tls-cert", "c.pem", ...to("https://a")], "--tls-cert"],
  [["record-max-mib", "record-max-s", "record-files"], ["--record", "a.pcapng", ...LIVE], "--record"],
  [["file-max-mib"], to("file:a.har"), "a file: destination"],
  [["speed", "loop", "outage-timeout-s", "dry-run", "follow"], READ, "--read"],
];

/** --read changes the expected arguments. */
const argumentsFor = (name: string) => {
  if (name === "read") return LIVE.slice(1);
  return NEEDS.find(([names]) => names.includes(name))?.[1] ?? LIVE;
};

test("the tables above have every flag", () => {
  expect(flagTable.map(([name]) => name as string).toSorted()).toEqual(
    [...FLAGS.map(({ name }) => name), ...SWITCHES].toSorted(),
  );
  expect(flagTable.filter(([, { kind }]) => kind === "switch").map(([name]) => name as string)).toEqual(SWITCHES);
});

describe.each(FLAGS)("--$name", (flag) => {
  const { name, original, accepted, refused, says } = flag;
  const option = camelCase(name) as keyof Config;
  const args = argumentsFor(name);

  if (name !== "read") {
    test("has its default", () => check(LIVE, {}, { [option]: flag.default }));
  }

  test("takes accepted values, after a space and after =", () => {
    for (const [text, value] of accepted) {
      check([`--${name}`, text, ...args], {}, { [option]: value });
      check([...args, `--${name}=${text}`], {}, { [option]: value });
    }
  });

  test("refuses other values, and names itself, the value and the accepted values", () => {
    for (const text of refused) {
      check([`--${name}`, text, ...args], {}, [`--${name}`, JSON.stringify(text), ...says]);
      check([`--${name}=${text}`, ...args], {}, [`--${name}`, JSON.stringify(text), ...says]);
    }
  });

  test("refuses an empty value, and names itself and the accepted values", () => {
    for (const argv of [
      [...args, `--${name}`],
      [`--${name}=`, ...args],
      [`--${name}`, "", ...args],
    ])
      check(argv, {}, [`--${name}`, ...says]);
  });

  test("is refused with a prefix, a suffix, a single dash", () => {
    for (const written of [`--x${name}`, `--${name}x`, `--${name.slice(0, -1)}`])
      check([`${written}=1`, ...args], {}, [written]);
    check([`-${name}`, ...args], {}, ["no such flag"]);
  });

  const [[inFlag, flagValue], [inEnv, envValue]] = accepted as [[string, unknown], [string, unknown]];
  const own = variableOf(name);

  test(`beats ${own}, which beats ${original.join(", then ") || "nothing else"}, which beats the default`, () => {
    for (const [i, variable] of [own, ...original].entries()) {
      const beaten = Object.fromEntries(original.slice(i).map((other) => [other, "nonsense"]));
      check(args, { ...beaten, [variable]: inEnv }, { [option]: envValue });
      check([`--${name}`, inFlag, ...args], { ...beaten, [variable]: inEnv }, { [option]: flagValue });
    }
  });

  test("ignores a bad variable, and an empty one", () => {
    for (const variable of [own, ...original]) {
      for (const text of refused) check([`--${name}`, inFlag, ...args], { [variable]: text }, { [option]: flagValue });
      if (name !== "read") check(LIVE, { [variable]: "" }, { [option]: flag.default });
    }
  });

  test.each([own, ...original.filter((variable) => variable !== "RUST_LOG")])(
    "%s is refused like the flag, and the message names it",
    (variable) => {
      for (const text of refused) check(args, { [variable]: text }, [`${variable}=`, JSON.stringify(text), ...says]);
      for (const [text, value] of accepted) check(args, { [variable]: text }, { [option]: value });
    },
  );

  test("is not read from a name without the prefix, unless the original program had it", () => {
    const bare = own.replace("VXLAN_TO_HTTP_", "");
    if (original.includes(bare)) return;
    check(
      LIVE,
      { [bare]: inEnv, [bare.toLowerCase()]: inEnv },
      name === "read" ? { read: undefined } : { [option]: flag.default },
    );
  });
});

test("names that other programs use are not read", () => {
  const bare =
    "READ MODE GAP_TIMEOUT_MS THREADS VXLAN_PORT IDLE_TIMEOUT_S CONNECT_TIMEOUT_MS RESPONSE_TIMEOUT_MS PIPELINE_DEPTH MAX_WAITING_REQUESTS HOST";
  const more =
    "MAX_REQUEST_BYTES MAX_HEADER_BYTES HOST_HEADER MAX_FLOWS MAX_BUFFER_MIB CAPTURE_BUFFER_MIB LIBPCAP LOG_FORMAT SUMMARY MARK SET_HEADER";
  const foreign = "VXLAN_TO_HTTP_SERVICE_HOST VXLAN_TO_HTTP_PORT VXLAN_TO_HTTP_HELP VXLAN_TO_HTTP_VERSION";
  const env = Object.fromEntries(`${bare} ${more} ${foreign}`.split(" ").map((name) => [name, "production"]));
  expect(read(LIVE, env)).toEqual(read(LIVE, {}));
});

describe.each(SWITCHES)("--%s, a flag without a value", (name) => {
  const option = camelCase(name) as keyof Config;
  const args = argumentsFor(name);
  const variable = variableOf(name);
  const [yes, no] = [
    ["1", "true", "yes", "on", "True", "YES", "oN"],
    ["0", "false", "no", "off", "False", "NO", "oFF"],
  ];

  test("is off by default, and takes no value", () => {
    check(args, {}, { [option]: false });
    check([`--${name}`, ...args], {}, { [option]: true });
    for (const value of ["", "1", "no"])
      check([`--${name}=${value}`, ...args], {}, [`--${name}=${value}`, "takes no value"]);
  });

  test(`${variable} says yes or no, in any case`, () => {
    for (const text of yes) check(args, { [variable]: text }, { [option]: true });
    for (const text of [...no, ""]) check(args, { [variable]: text }, { [option]: false });
    for (const text of no) check([`--${name}`, ...args], { [variable]: text }, { [option]: true });
    for (const text of ["2", "y", "nope", " 1", "yes\n"])
      check(args, { [variable]: text }, [`${variable}=`, JSON.stringify(text), ...yes.slice(0, 4), ...no.slice(0, 4)]);
  });
});

test("a client certificate and its key need each other", () => {
  for (const argv of [
    ["--tls-cert", "a"],
    ["--tls-key", "a"],
  ])
    check([...argv, ...LIVE], {}, ["--tls-cert", "--tls-key", "goes with its key"]);
});

test("a file lacks some abilities of an endpoint", () => {
  const file = (path: string) => ({ host: "127.0.0.1", port: 0, file: path });
  check(to("file:a.har"), {}, { address: file("a.har") });
  check(["--also", "file:a.har", ...to("file:b.ndjson")], {}, { address: file("b.ndjson"), also: [file("a.har")] });
  check(["--compare", "--also", "file:a.har", ...LIVE], {}, { also: [file("a.har")] });
  check(["--mode", "tcp", ...to("file:a.har")], {}, ["file:a.har", "--mode http"]);
  check(["--mode", "tcp", "--also", "file:a.har", ...LIVE], {}, ["file:a.har", "--mode http"]);
  check(["--also", "file:./a.har", ...to("file:a.har")], {}, ["file:a.har", "twice"]);
  check(["--compare", ...to("file:a.har")], {}, { address: file("a.har"), compare: true });
  for (const asking of [["--control", "h:1"], ["--differences", "d"], ["--fail-on-differences"]])
    check(["--compare", ...asking, ...to("file:a.har")], {}, ["file:a.har", asking[0]!, "responds"]);
  check(["--compare", "--control", "file:a.har", ...LIVE], {}, ["file:a.har", "--control"]);
  check(["--host", "endpoint", ...to("file:a.har")], {}, ["file:a.har", "--host endpoint"]);
});

test("--also may be given more than once, in order, up to a limit", () => {
  const given = (count: number) => Array.from({ length: count }, (_, i) => ["--also", `h${i}:1`]).flat();
  const hosts = (count: number) => Array.from({ length: count }, (_, i) => ({ host: `h${i}`, port: 1 }));
  check([...given(8), ...LIVE], {}, { also: hosts(8) });
  check([...given(9), ...LIVE], {}, ["--also", "9 times", "the limit is 8"]);
  check([...given(2), "--also", "h1:1", ...LIVE], {}, ["--also h1:1", "given already"]);
  check(LIVE, { VXLAN_TO_HTTP_ALSO: "h0:1\nh1:1\n" }, { also: hosts(2) });
});

test("if a flag is given twice, the last value counts", () => {
  check(["--max-retries", "1", ...LIVE, "--max-retries=2"], {}, { maxRetries: 2 });
  check(["--max-retries=2", "--max-retries", "1", ...LIVE], {}, { maxRetries: 1 });
});

test("a bad value is refused, also if the flag is given again", () => {
  check(["--max-retries", "many", ...LIVE, "--max-retries=2"], {}, ["--max-retries", `"many"`]);
  check(["--mode=", "--mode", "tcp", ...LIVE], {}, ["--mode", "needs a value"]);
});

test("the refusal of a mistyped flag names the similar flag", () => {
  const cases: [written: string, meant: string[]][] = [
    ["moed", ["mode"]],
    ["Mode", ["mode"]],
    ["hots", ["host"]],
    ["gap-timeout", ["gap-timeout-ms"]],
    ["gap_timeout_ms", ["gap-timeout-ms"]],
    ["max-header-byte", ["max-header-bytes"]],
    ["pipline-dept", ["pipeline-depth"]],
    ["versoin", ["version"]],
    ["record-max", ["record-max-mib", "record-max-s"]],
    ["tls", []],
    ["port", []],
    ["nothing-like-it", []],
    ["x".repeat(100_000), []],
  ];
  for (const [written, meant] of cases) {
    const got = read([`--${written}`, ...LIVE], {}) as string;
    expect(got).toEndWith(
      meant.length === 0
        ? ": there is no such flag"
        : `: there is no such flag (is it ${meant.map((name) => `--${name}`).join(" or ")}?)`,
    );
  }
});

test("a mistyped variable is reported, and no other variable with the same prefix", () => {
  const env = {
    VXLAN_TO_HTTP_GAP_TIMEOUT: "5",
    VXLAN_TO_HTTP_MOED: "tcp",
    VXLAN_TO_HTTP_VERSOIN: "1",
    // A service with the program's name, in Kubernetes.
    VXLAN_TO_HTTP_SERVICE_PORT_ADMIN: "9100",
    VXLAN_TO_HTTP_PORT_9100_TCP_PROTO: "tcp",
  };
  check(LIVE, env, {
    told: [
      "VXLAN_TO_HTTP_GAP_TIMEOUT does nothing: no flag has this variable (is it VXLAN_TO_HTTP_GAP_TIMEOUT_MS?)",
      "VXLAN_TO_HTTP_MOED does nothing: no flag has this variable (is it VXLAN_TO_HTTP_MODE?)",
    ],
    mode: "http",
  });
});

test("text that is not UTF-8 would be another file's name, and is refused", () => {
  const lost = Buffer.from([0x61, 0xff]).toString();
  for (const argv of [
    ["--summary", lost, ...LIVE],
    ["--read", lost, ...LIVE.slice(1)],
    [...LIVE.slice(0, 3), `${lost}:80`],
  ])
    check(argv, {}, ["not UTF-8"]);
  check(LIVE, { VXLAN_TO_HTTP_RECORD: lost }, ["VXLAN_TO_HTTP_RECORD", "not UTF-8"]);
});

test("a given text is shown on one line, with a limited length", () => {
  const long = "x".repeat(100_000);
  for (const argv of [
    ["--mode", long, ...LIVE],
    [`--${long}`, ...LIVE],
    [`--mark=${long}`, ...LIVE],
    [...LIVE, long],
  ])
    expect((read(argv, {}) as string).length).toBeLessThan(1500);
  check(["--a\nb", ...LIVE], {}, ["no such flag"]);
});

test("standard output is no file to write to", () => {
  for (const flag of ["--summary", "--record"]) {
    check([flag, "-", ...LIVE], {}, [flag, `"-"`, "./-"]);
    check([flag, "./-", ...LIVE], {}, { [flag.slice(2)]: "./-" });
  }
  check(["--compare", "--differences=-", ...LIVE], {}, ["--differences", `"-"`]);
});

test("--redact and --no-redact contradict each other", () => {
  check(["--compare", "--redact", "header:x", "--no-redact", ...LIVE], {}, ["--redact", "--no-redact"]);
});

test("a file responds nothing that --ignore could ignore", () => {
  const ignoring = ["--compare", "--ignore", "header:etag"];
  const told = ["--ignore does nothing here: it needs an endpoint that responds"];
  check([...ignoring, ...to("file:a.har")], {}, { told });
  check([...ignoring, "--also", "file:a.har", ...LIVE], {}, { told: [] });
});

test("with TLS, --connect-timeout-ms counts for a savefile too", () => {
  check(["--connect-timeout-ms", "5", ...READ.slice(0, -1), "https://a"], {}, { told: [] });
});

test("in a dry run nothing is compared: the log says so", () => {
  const told = ["compare", "fail-on-differences"].map(
    (name) => `--${name} does nothing here: it needs forwarded requests, and --dry-run forwards none`,
  );
  check(["--compare", "--fail-on-differences", "--dry-run", ...READ], {}, { told });
  check(["--compare", "--fail-on-differences", ...READ], {}, { told: [] });
});

test("in a savefile, no silence ends a flow: the log says so", () => {
  const told =
    "--idle-timeout-s does nothing here: it needs an interface, or --follow: in a savefile a flow may go on later";
  check(["--idle-timeout-s", "5", ...READ], {}, { told: [told] });
  check(["--idle-timeout-s", "5", "--follow", ...READ], {}, { told: [] });
});

test("a rule that can match no path is refused, because it would keep no request back", () => {
  for (const flag of ["--deny", "--allow"]) {
    check([flag, "path:admin/**", ...LIVE], {}, [flag, "path:>>>admin", "a path begins with a slash"]);
    for (const glob of ["/admin/**", "**/admin", "*"]) check([flag, `path:${glob}`, ...LIVE], {}, { told: [] });
  }
  for (const kind of ["body", "status", "path"]) {
    check(["--compare", "--ignore", `${kind}:a/*`, ...LIVE], {}, [`${kind}:>>>a/*`, "a path begins with a slash"]);
    check(["--compare", "--ignore", `${kind}:/a/*`, ...LIVE], {}, { told: [] });
  }
  check(["--compare", "--ignore", "json:items[0].price", ...LIVE], {}, ["json:items>>>[0]", "[] stands for all"]);
  check(["--compare", "--ignore", "json:items[].price", ...LIVE], {}, { told: [] });
});

test("--probe takes the addresses of --admin", () => {
  const asked = (...argv: string[]) => readRequest(argv, {});
  for (const [text, host, port] of [
    ["9100", "127.0.0.1", 9100],
    ["replay:9100", "replay", 9100],
    ["[::1]:9100", "::1", 9100],
    ["http://127.0.0.1:9100/", "127.0.0.1", 9100],
  ] as const) {
    expect(asked("--probe", text)).toEqual({ kind: "probe", address: { host, port } });
    expect(asked(`--probe=${text}`)).toEqual({ kind: "probe", address: { host, port } });
  }
  for (const argv of [
    ["--probe"],
    ["--probe="],
    ["--probe", "0"],
    ["--probe", "file:a.har"],
    ["--probe", "https://a:1"],
  ])
    check(argv, {}, ["Cannot use --probe", "a port of 127.0.0.1"]);
  check(["--probe", "9100", "9101"], {}, ["Cannot use --probe", `"9101"`, "too many"]);
});

test("with --read, holes have no time limit unless one is given", () => {
  check(READ, {}, { gapTimeoutMs: Infinity });
  check([...READ, "--gap-timeout-ms", "20"], {}, { gapTimeoutMs: 20 });
  check(READ, { VXLAN_TO_HTTP_GAP_TIMEOUT_MS: "30" }, { gapTimeoutMs: 30 });
  check([...READ, "--follow"], {}, { gapTimeoutMs: 1000 });
});

test("--speed needs a savefile, and --loop one that can be read again", () => {
  check([...READ, "--speed", "1"], {}, { speed: 1 });
  check([...READ, "--speed=MAX"], {}, { speed: "max" });
  check(READ, { VXLAN_TO_HTTP_SPEED: "0.25" }, { speed: 0.25 });
  check([...READ, "--speed", "1000", "--loop", "3"], {}, { speed: 1000, loop: 3 });
  for (const flag of ["--follow", "--dry-run"]) check([flag, "--loop=2", ...READ], {}, ["--loop", "--follow"]);
  check(["--loop=2", "--read=-", ...LIVE.slice(1)], {}, ["--loop", "files"]);
});

test("--read may be repeated; --follow takes one file", () => {
  check(["--read", "b", "--read=a", "--read", "-", ...READ], {}, { read: ["b", "a", "-", "mirror.pcap"] });
  check(LIVE.slice(1), { VXLAN_TO_HTTP_READ: "b\na" }, { read: ["b", "a"] });
  check(["--read", "-", "--read=-", ...LIVE.slice(1)], {}, ["-", "twice"]);
  for (const argv of [LIVE, ["--read=a", ...READ], ["--read", "-", ...LIVE.slice(1)]])
    check(["--follow", ...argv], {}, ["--follow", "--read with one file's path"]);
});

describe("header edits", () => {
  const edits = (host: string | undefined, setHeader: [string, string][], mark: boolean) => ({
    headEdits: editsOf({ host, setHeader, mark }),
  });

  test("are off by default", () => check(LIVE, {}, { headEdits: null }));
  test("--mark adds the mark", () => check(["--mark", ...LIVE], {}, edits(undefined, [], true)));

  test("--host replaces Host; endpoint is forward_addr's", () => {
    check(["--host", "a.example", ...LIVE], {}, edits("a.example", [], false));
    check(["--host", "endpoint", ...LIVE], {}, edits("localhost:8080", [], false));
    check(["--host=endpoint", "eth0", "42", "80", "http://[::1]"], {}, edits("[::1]", [], false));
    check(["--host=endpoint", "eth0", "42", "80", "h:80"], {}, edits("h", [], false));
    check(["--host=endpoint", "eth0", "42", "80", "https://h"], {}, edits("h", [], false));
    check(["--host=endpoint", "eth0", "42", "80", "https://h:80"], {}, edits("h:80", [], false));
  });

  test("--set-header may be given more than once, in every place for flags", () => {
    const fields: [string, string][] = [
      ["X-Test", "1"],
      ["Authorization", "Basic a:b=="],
      ["x-empty", ""],
    ];
    const written = [
      "--set-header",
      "X-Test: 1",
      "--set-header=Authorization:  Basic a:b== ",
      "--set-header",
      "x-empty:",
    ];
    check([...written, ...LIVE], {}, edits(undefined, fields, false));
    check([...LIVE, ...written], {}, edits(undefined, fields, false));
  });

  test("--set-header takes one field", () =>
    check(["--set-header", "X: 1\r\nY: 2", ...LIVE], {}, ["--set-header", JSON.stringify("X: 1\r\nY: 2")]));

  test("its variable takes one field a line; the flag replaces them all", () => {
    const variable = "VXLAN_TO_HTTP_SET_HEADER";
    const lines = (text: string, fields: [string, string][]) =>
      check(LIVE, { [variable]: text }, edits(undefined, fields, false));
    lines("A: 1", [["A", "1"]]);
    lines("A: 1\nB: 2\n", [
      ["A", "1"],
      ["B", "2"],
    ]);
    lines("\r\nA: 1\r\n\r\n  \r\nB: 2", [
      ["A", "1"],
      ["B", "2"],
    ]);
    check(["--set-header=C: 3", ...LIVE], { [variable]: "A: 1\nB: 2" }, edits(undefined, [["C", "3"]], false));
    check(LIVE, { [variable]: "A: 1\nno field\nB: 2" }, [`${variable}=`, `"no field"`, "'Name: value'"]);
  });

  const conflicts: [string[], Env, string[]][] = [
    [["--set-header", "Host: a", "--host", "b"], {}, [`--set-header "Host: a"`, "--host", "Host"]],
    [["--host=endpoint", "--set-header=hOST: a"], {}, [`"hOST: a"`, "--host"]],
    [["--host=b"], { VXLAN_TO_HTTP_SET_HEADER: "HOST: a" }, [`"HOST: a"`, "--host"]],
    [["--set-header", "X: 1", "--set-header", "X: 2"], {}, [`"X: 1"`, `"X: 2"`]],
    [["--set-header", "X: 1", "--set-header", "Y: 1", "--set-header", "x: 1"], {}, [`"X: 1"`, `"x: 1"`]],
    [[], { VXLAN_TO_HTTP_SET_HEADER: "X: 1\nx: 2" }, [`"X: 1"`, `"x: 2"`]],
    [["--mark", "--set-header", "x-mirrored-from: me"], {}, [`"x-mirrored-from: me"`, "--mark"]],
  ];
  test.each(conflicts)("%j and %j: two that set the same field are refused", (argv, env, words) =>
    check([...argv, ...LIVE], env, words),
  );

  const removing: [string[], string[]][] = [
    [
      ["--remove-header=host", "--host=a"],
      ["--remove-header host", "--host sets"],
    ],
    [
      ["--remove-header", "X", "--set-header", "x: 1"],
      ["--remove-header x", `"x: 1"`],
    ],
    [["--remove-header", "X", "--remove-header", "x"], ["--remove-header x removes"]],
    [["--mark", "--remove-header", "X-Mirrored-From"], ["--mark"]],
    [
      ["--forwarded", "--set-header", "X-Forwarded-Proto: https"],
      ["--forwarded", "X-Forwarded-Proto"],
    ],
  ];
  test.each(removing)("%j are about the same field, and refused", (argv, words) =>
    check([...argv, ...LIVE], {}, words),
  );

  test("the client's own field may be removed, and the seen address added", () =>
    check(
      ["--forwarded", "--remove-header", "X-Forwarded-For", ...LIVE],
      {},
      {
        headEdits: editsOf({ forwarded: true, removeHeader: ["x-forwarded-for"] }),
      },
    ));

  test("different fields are no conflict", () => {
    check(["--host=b", "--mark", "--set-header", "Hosts: a", ...LIVE], {}, edits("b", [["Hosts", "a"]], true));
    check(["--set-header", "Host: a", ...LIVE], {}, edits(undefined, [["Host", "a"]], false));
  });

  test("behind --, --set-header is an argument", () =>
    check(["--", ...LIVE, "--set-header"], {}, [`"--set-header"`, "too many"]));
});

describe("the level of the log", () => {
  const levels: [Env, string[], string][] = [
    [{ RUST_LOG: "debug" }, [], "debug"],
    [{ RUST_LOG: "WARN" }, [], "warn"],
    [{ RUST_LOG: " trace " }, [], "trace"],
    [{ RUST_LOG: "off" }, [], "silent"],
    [{ RUST_LOG: "" }, [], "info"],
    [{ RUST_LOG: "vxlan_to_http=debug" }, [], "debug"],
    [{ RUST_LOG: "warn,vxlan_to_http=trace" }, [], "trace"],
    [{ RUST_LOG: "error,hyper=trace" }, [], "error"],
    [{ RUST_LOG: "hyper=debug" }, [], "info"],
    [{ RUST_LOG: "hyper::client=off,tokio=warn" }, [], "info"],
    [{ RUST_LOG: "what is this/[{}]" }, [], "info"],
    [{ RUST_LOG: "debug", LOG_LEVEL: "warn" }, [], "warn"],
    [{ RUST_LOG: "debug", LOG_LEVEL: "" }, [], "debug"],
    [{ RUST_LOG: "debug", LOG_LEVEL: "warn" }, ["--log-level", "error"], "error"],
    [{ RUST_LOG: "off" }, ["--log-level", "info"], "info"],
  ];
  test.each(levels)("%j and %j: %s", (env, argv, level) =>
    check([...argv, ...LIVE], env, { logLevel: level as Config["logLevel"] }),
  );
});

const LISTED = Array.from({ length: 64 }, (_, i) => i + 1);
const LIST = LISTED.join(",");

describe("arguments", () => {
  test("plain frames have no VNI: with --encapsulation none it is any", () => {
    const args = ["--encapsulation", "none", "eth0", "any", "80", "localhost:8080"];
    check(args, {}, { encapsulation: "none", vnis: "any" });
    expect(() => readRequest(args.with(3, "42"), {})).toThrow(
      'Cannot use <vni> "42" with --encapsulation none: plain frames have no VNI, use any',
    );
  });

  test("with --encapsulation gre a key has 32 bits", () => {
    const args = (vni: string) => ["--encapsulation", "gre", "eth0", vni, "80", "localhost:8080"];
    check(args("4294967295"), {}, { encapsulation: "gre", vnis: [4294967295] });
    check(args("4294967296"), {}, ["<vni>", `"4294967296"`, "0 to 4294967295"]);
  });

  test("are four, or three with --read, wherever the flags stand", () => {
    const want = {
      interfaceName: "eth0",
      vnis: [42],
      ports: [80],
      address: { host: "localhost", port: 8080 },
      read: undefined,
    };
    check(LIVE, {}, want);
    check(["--max-retries", "1", ...LIVE], {}, want);
    check(["eth0", "--max-retries=1", "42", "80", "--max-flows", "9", "localhost:8080"], {}, want);
    check(["--max-retries=1", "--", ...LIVE], {}, want);
    check(READ, {}, { ...want, interfaceName: undefined, read: ["mirror.pcap"] });
    check(["42", "80", "localhost:8080", "--read", "-"], {}, { ...want, interfaceName: undefined, read: ["-"] });
    check(["42", "--read=-", "80", "localhost:8080"], {}, { ...want, interfaceName: undefined, read: ["-"] });
  });

  const names = ["<interface>", "<vni>", "<original_destination_port>", "<forward_addr>"];

  test("too few are refused; the message names the first missing one and the expected ones", () => {
    for (let given = 0; given < LIVE.length; given++)
      check(LIVE.slice(0, given), {}, [`${names[given]} is missing`, names.join(" ")]);
    for (let given = 0; given < 3; given++)
      check(["--read", "f", ...LIVE.slice(1, 1 + given)], {}, [
        `${names[1 + given]} is missing`,
        names.slice(1).join(" "),
      ]);
  });

  test("too many are refused; the message names the first of them", () => {
    check([...LIVE, "extra", "more"], {}, [`"extra"`, names.join(" ")]);
    check([...READ, "extra"], {}, [`"extra"`, names.slice(1).join(" ")]);
    check(["--read", "mirror.pcap", ...LIVE], {}, [`"localhost:8080"`, names.slice(1).join(" ")]);
  });

  const values: [argument: number, accepted: [string, Partial<Config>][], refused: string[], says: string[]][] = [
    [
      0,
      [
        ["eth0.100", { interfaceName: "eth0.100" }],
        ["any", { interfaceName: "any" }],
      ],
      [""],
      ["interface"],
    ],
    [
      1,
      [
        ["0", { vnis: [0] }],
        ["5569041", { vnis: [5569041] }],
        ["16777215", { vnis: [16777215] }],
        ["42,43,42", { vnis: [42, 43] }],
        [LIST, { vnis: LISTED }],
        ["any", { vnis: "any" }],
        ["ANY", { vnis: "any" }],
      ],
      ["16777216", "x", "", "1.0", "0x2a", "4 2", "99999999999999999999", "1,", "1,x", "1, 2", `${LIST},65`, "42,any"],
      ["0", "16777215", "64", "any"],
    ],
    [
      2,
      [
        ["1", { ports: [1] }],
        ["65535", { ports: [65535] }],
        ["80,8080", { ports: [80, 8080] }],
        [LIST, { ports: LISTED }],
      ],
      ["0", "65536", "70000", "http", "", "80/tcp", "80,", "80,0", `${LIST},65`, "any"],
      ["1", "65535", "64"],
    ],
    [
      3,
      [["h:1", { address: { host: "h", port: 1 } }]],
      ["localhost", "", ":80", "h:0", "h:65536", "https://"],
      ["host:port", "http://host[:port]", "[v6]:port"],
    ],
  ];
  test.each(values)("argument %i is refused if it has a wrong value", (argument, accepted, refused, says) => {
    const replace = (text: string) => LIVE.map((given, i) => (i === argument ? text : given));
    for (const [text, want] of accepted) check(replace(text), {}, want);
    for (const text of refused) check(replace(text), {}, [names[argument]!, JSON.stringify(text), ...says]);
    check(replace("-1"), {}, ["-1"]);
  });
});

describe("unknown flags are refused by their name", () => {
  const unknown = [
    "--nope",
    "--nope=1",
    "-x",
    "-hx",
    "--Mode",
    "--MODE=tcp",
    "--toString=1",
    "--constructor",
    "--__proto__",
    "--__proto__=x",
    "--_",
    "--_=x",
    "-_",
    "--no-x",
    "--no-such-flag",
  ];
  test.each(unknown)("%s", (flag) => {
    const name = flag.split("=")[0]!;
    check([flag, ...LIVE], {}, [name]);
    check([...LIVE, flag], {}, [name]);
  });

  test.each(["--no-mode", "--no-summary", "--no-read", "--no-max-retries"])(
    "%s, because there is no switch that it could turn off",
    (flag) => {
      check([...LIVE, flag], {}, [flag.slice("--no-".length)]);
    },
  );

  test("even beside --help", () => check(["--help", "--nope"], {}, ["--nope"]));
});

test("--help and --version need nothing else, and are stronger than other mistakes", () => {
  const kinds: [string[], string][] = [
    [["--help"], "help"],
    [["-h"], "help"],
    [["--version"], "version"],
    [["-v"], "version"],
    [["--help", "--version"], "help"],
    [["eth0", "--help"], "help"],
    [["--mode", "nope", "--help"], "help"],
    [["--version", "too", "many", "arguments", "by", "far"], "version"],
  ];
  for (const [argv, kind] of kinds)
    expect(readRequest(argv, { MAX_RETRIES: "abc" }).kind as string, argv.join(" ")).toBe(kind);
});

describe("policy in mode tcp", () => {
  const refused: string[][] = [
    ["--allow", "method:GET"],
    ["--deny", "client:10.0.0.0/8", "--deny", "path:/a"],
    ["--sample", "10%"],
    ["--sample", "10%:header=X"],
    ["--max-rate", "10"],
    ["--rewrite-path", "a=>b"],
    ["--remove-header", "X"],
    ["--host", "a"],
    ["--set-header", "X: 1"],
    ["--forwarded"],
    ["--mark"],
  ];
  test.each(refused)("%s %s is refused: it needs requests", (...argv) =>
    check(["--mode", "tcp", ...argv, ...LIVE], {}, [argv.at(-2) ?? argv[0]!, "needs --mode http"]),
  );

  test.each(["client", "connection"])("its clients' rules are taken, and a sample by %s", (key) =>
    check(
      ["--mode=tcp", "--allow", "client:10.0.0.0/8", "--deny=client:10.0.0.1", "--sample", `5%:${key}`, ...LIVE],
      {},
      {
        mode: "tcp",
      },
    ),
  );
});

describe("a flag without an effect: the log names its needs; a flag that asks for a result is refused", () => {
  const REFUSED = ["control", "differences", "fail-on-differences", "speed", "loop", "dry-run", "follow"];

  /** A value that is not the default; no value for a switch. */
  const given = (name: string) => {
    const flag = FLAGS.find((each) => each.name === name);
    return [
      flag === undefined ? `--${name}` : `--${name}=${flag.accepted.find(([, value]) => value !== flag.default)![0]}`,
    ];
  };

  const cases = NEEDS.flatMap(([names, args, says]) => names.map((name) => [name, args, says] as const));

  test.each(cases)("--%s", (name, _args, says) => {
    // A certificate and its key need each other first.
    if (name === "tls-cert" || name === "tls-key") return check([...given(name), ...LIVE], {}, [`--${name}`, says]);
    const [, text = "yes"] = given(name)[0]!.split("=");
    for (const [argv, env] of [
      [[...given(name), ...LIVE], {}],
      [LIVE, { [variableOf(name)]: text }],
    ] as const) {
      const got = read([...argv], env);
      const told = typeof got === "string" ? got : got.told.join("\n");
      expect(typeof got === "string").toBe(REFUSED.includes(name));
      for (const words of [`--${name}`, says]) expect(told).toContain(words);
    }
  });

  const requests = ["http2", "pipeline-depth", "max-waiting-requests", "max-request-bytes", "max-header-bytes"];
  test.each([
    ...[...requests, "header-timeout-s", "max-response-seconds"].map(
      (name) => [name, ["--mode", "tcp", ...LIVE]] as const,
    ),
    ...["capture-buffer-mib", "libpcap", "threads", "max-waiting-requests"].map((name) => [name, READ] as const),
    ["connect-timeout-ms", READ] as const,
    ...["geneve", "gre"].map((name) => ["vxlan-port", ["--encapsulation", name, ...LIVE]] as const),
  ])("--%s with %j", (name, args) => {
    const got = read([...given(name), ...args], {}) as Config;
    expect(got.told).toEqual([expect.stringContaining(`--${name} does nothing here`)]);
    expect((read([...given(name), ...LIVE], {}) as Config).told).toEqual([]);
  });

  test.each([
    ["redact", ["--compare", ...LIVE]],
    ["tls-ca", ["--also", "https://a", ...LIVE]],
    ["tls-ca", ["--compare", "--control", "https://a", ...LIVE]],
    ["file-max-mib", ["--also", "file:a.har", ...LIVE]],
  ])("--%s with %j has something to do", (name, args) => {
    expect(read([...given(name), ...args], {})).toMatchObject({ told: [] });
  });

  test("a default value needs nothing", () => {
    for (const flag of ["--compare-sample=100%", "--record-files=8", "--speed=max", "--loop=1"])
      expect(read([flag, ...LIVE], {})).toMatchObject({ told: [] });
  });
});

test("comparing needs requests, and a control is one of the destinations", () => {
  check(["--compare", "--mode", "tcp", ...LIVE], {}, ["--compare", "needs --mode http"]);
  const also = [
    { host: "a", port: 1 },
    { host: "b", port: 2 },
  ];
  check(["--compare", "--control", "b:2", "--also", "a:1", ...LIVE], {}, { also, control: also[1] } as Partial<Config>);
  check(["--compare", "--control", "a:1", "--also", "a:1", ...LIVE], {}, ["a:1", "given already"]);
});

test("a destination that is the program's own --admin is refused", () => {
  const self: [admin: string, destination: string][] = [
    ["9100", "127.0.0.1:9100"],
    ["9100", "localhost:9100"],
    ["9100", "http://LOCALHOST:9100"],
    ["0.0.0.0:9100", "127.0.0.1:9100"],
    ["[::]:9100", "[::1]:9100"],
    ["10.0.0.1:9100", "10.0.0.1:9100"],
    ["metrics.test:9100", "Metrics.test:9100"],
  ];
  for (const [admin, destination] of self) {
    check(["--admin", admin, ...LIVE.slice(0, -1), destination], {}, ["Cannot forward to", "--admin serves there"]);
    check(["--admin", admin, "--also", destination, ...LIVE], {}, ["Cannot forward to", "--admin serves there"]);
  }
  const others: [admin: string, destination: string][] = [
    ["9100", "127.0.0.1:9101"],
    ["9100", "10.0.0.1:9100"],
    ["10.0.0.1:9100", "127.0.0.1:9100"],
    ["0", "file:a.har"],
  ];
  for (const [admin, destination] of others) check(["--admin", admin, ...LIVE.slice(0, -1), destination], {}, {});
});

test("a rule that cannot be read is shown with the place marked", () => {
  const refused: [string[], string][] = [
    [["--allow", "path-regex:/a(b"], `"path-regex:/a>>>(b"`],
    [["--deny=client:10.0.0.0/33"], `"client:10.0.0.0/>>>33"`],
    [["--sample", "10%:cookies"], `"10%:>>>cookies"`],
    [["--rewrite-path", "(a)=>/$2"], `"(a)=>/>>>$2"`],
    [["--ignore", "header:*"], `"header:>>>*"`],
    [["--ignore", "header:X-*"], `"header:X->>>*"`],
    [["--redact", "header:X-Key-*"], `"header:X-Key->>>*"`],
    [["--redact", "query:*"], `"query:>>>*"`],
    [["--redact", "json:user.*"], `"json:user.>>>*"`],
    [["--allow", "header:*"], `"header:>>>*"`],
    [["--sample", "10%:cookie=*"], `"10%:cookie=>>>*"`],
  ];
  for (const [argv, marked] of refused) check([...argv, ...LIVE], {}, [argv[0]!.split("=")[0]!, marked]);
});

const ODD_TEXTS = [
  ...[
    "",
    "-",
    "--",
    "0",
    "-1",
    "9".repeat(30),
    "any",
    "off",
    "a b",
    "\n",
    "\0",
    "\ufffd",
    "x".repeat(5000),
    "__proto__",
  ],
  ...["[", "(", "**", ":", "=", "path:a", "path-regex:(a{1,1000}){1,1000}", "header:X=*", "client:::/0", "10%:client"],
  ...["file:", "https://h", "[::1%]:80", "h:80", "42,43", "json:a[].b", "X:y\r\nZ: q", "a=>$1", "=>", "1.5", "NaN"],
];

test("any command line is read, or refused in one line", () => {
  const names = [...flagTable, ...otherFlagTable].map(([name]) => name as string);
  for (let seed = 0; seed < 2000; seed++) {
    const random = new Random(seed);
    const argv: string[] = [...LIVE];
    const env: Env = {};
    for (let left = random.int(0, 3); left > 0; left--) {
      const [name, text] = [random.pick(names), random.pick(ODD_TEXTS)];
      const written = [[`--${name}`, text], [`--${name}=${text}`], [`--${name}`], [text]];
      if (random.chance(0.25)) env[variableOf(name)] = text;
      else argv.splice(random.int(0, argv.length), 0, ...random.pick(written));
    }
    let refusal = "Cannot";
    try {
      readRequest(argv, env);
    } catch (error) {
      expect(error, `seed ${seed}`).toBeInstanceOf(UsageError);
      refusal = (error as Error).message;
    }
    expect(refusal, `seed ${seed}`).toMatch(/^Cannot[^\n]{0,3000}$/);
  }
});
