import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { canIsolate, run, start, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { oneRequest, PORT, QUICK_TCP, REQUEST, VNI } from "./sessions.ts";

/** Code that leaves a sign that it ran. */
const mark = `require("node:fs").writeFileSync("marker", "it ran");`;

describe.concurrent("files in the working directory that configure Bun have no effect", () => {
  const ours = ["MODE=nonsense", "LOG_FORMAT=json", "SUMMARY=summary.json", "LIBPCAP=/no/such.so"]
    .map((line) => `VXLAN_TO_HTTP_${line}\n`)
    .join("");
  const env = `MAX_RETRIES=abc\nLOG_LEVEL=nonsense\n${ours}NODE_ENV=evil\n`;
  const cases: [string, Record<string, string>][] = [
    [".env", { ".env": env }],
    [
      ".env.local and those of each NODE_ENV",
      { ".env.local": env, ".env.production": env, ".env.development": env, ".env.test": env },
    ],
    [
      "bunfig.toml",
      { "bunfig.toml": `preload = ["./evil.ts"]\nlogLevel = "nonsense"\n[run]\nbun = true\n`, "evil.ts": mark },
    ],
    ["a malformed bunfig.toml", { "bunfig.toml": "[[[" }],
    [
      "tsconfig.json",
      {
        "tsconfig.json": `{"compilerOptions": {"paths": {"consola": ["./evil.ts"], "citty": ["./evil.ts"]}}}`,
        "evil.ts": mark,
      },
    ],
    [
      "package.json",
      {
        "package.json": `{"type": "commonjs", "imports": {"#x": "./evil.ts"}, "main": "./evil.ts", "bun": {"preload": "./evil.ts"}}`,
        "evil.ts": mark,
      },
    ],
    [
      "node_modules",
      { "node_modules/consola/index.js": mark, "node_modules/citty/index.js": mark, "node_modules/bun/index.js": mark },
    ],
    ["main.ts and index.ts", { "main.ts": mark, "index.ts": mark, "src/main.ts": mark }],
  ];
  test.each(cases)("%s", async (_name, files) => {
    using directory = new TemporaryDirectory();
    for (const [name, text] of Object.entries(files)) directory.file(name, text);
    directory.file("one.pcap", oneRequest);
    using endpoint = new RecordingEndpoint();
    const args = [...QUICK_TCP, "--read", "one.pcap", String(VNI), String(PORT), endpoint.address];
    const { status, stdout, stderr } = await run(args, { cwd: directory.path, executable: directory.copyOfProgram() });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toMatch(/ INFO {2}Reading one\.pcap\n/);
    expect(endpoint.text()).toBe(REQUEST);
    expect(["marker", "summary.json"].filter((name) => existsSync(join(directory.path, name)))).toEqual([]);
  });
});

test.concurrent("arguments of Bun itself go to the program, and are refused", async () => {
  for (const flag of [
    "--eval=1",
    "--print=1",
    "--preload=./evil.ts",
    "--cwd=/",
    "--inspect",
    "--env-file=.env",
    "--config=bunfig.toml",
    "--hot",
    "-e",
    "-p",
  ]) {
    const { status, stderr } = await run([flag, "no-if", "42", "80", "h:1"]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("there is no such flag") });
  }
  const { status } = await run(["run", "42", "80"]);
  expect(status).toBe(2);
});

test.concurrent("an empty environment is enough", async () => {
  using endpoint = new RecordingEndpoint();
  using directory = new TemporaryDirectory();
  const capture = directory.file("one.pcap", oneRequest);
  const { status } = await run([...QUICK_TCP, "--read", capture, String(VNI), String(PORT), endpoint.address], {
    through: ["env", "-i"],
  });
  expect(status).toBe(0);
  expect(endpoint.text()).toBe(REQUEST);
});

/** The arguments and threads of a process: by process ID, which starting over does not change. */
function processOf(pid: number): { args: string[]; env: string[]; threads: string[] } {
  const words = (file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8").split("\0").slice(0, -1);
  const threads = readdirSync(`/proc/${pid}/task`).map((id) =>
    readFileSync(`/proc/${pid}/task/${id}/comm`, "utf8").trim(),
  );
  return { args: words("cmdline").slice(1), env: words("environ"), threads };
}

test.concurrent("it starts over without the allocator's thread, as the same process with the same arguments; a variable keeps the thread", async () => {
  using endpoint = new RecordingEndpoint();
  const args = [...QUICK_TCP, "--read", "-", String(VNI), String(PORT), endpoint.address];
  for (const [given, mark, hasThread] of [
    [{}, "MIMALLOC_SCAVENGER=0", false],
    [{ MIMALLOC_SCAVENGER: "1" }, "MIMALLOC_SCAVENGER=1", true],
  ] as const) {
    const running = start(args, { stdin: "open", env: { ...given, A_VARIABLE: "of two words" } });
    await running.says("Reading standard input");
    const found = processOf(running.pid);
    expect(found.args).toEqual(args);
    expect(found.env).toContain(mark);
    expect(found.env).toContain("A_VARIABLE=of two words");
    expect(found.threads.includes("mi-scavenger")).toBe(hasThread);
    await running.write(oneRequest);
    await running.closeStdin();
    expect((await running.outcome).status).toBe(0);
  }
  expect(endpoint.text()).toBe(REQUEST + REQUEST);
});

test.concurrent("if it cannot start over because its file is gone, it goes on without a message", async () => {
  using endpoint = new RecordingEndpoint();
  using directory = new TemporaryDirectory();
  const capture = directory.file("one.pcap", oneRequest);
  const executable = directory.copyOfProgram();
  const through = ["bash", "-c", 'exec 7<"$0"; rm "$0"; exec /proc/self/fd/7 "$@"'];
  const { status, stderr } = await run(
    ["--log-level", "warn", ...QUICK_TCP, "--read", capture, String(VNI), String(PORT), endpoint.address],
    { through, executable },
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(endpoint.text()).toBe(REQUEST);
});

const groupsSessions = existsSync("/proc/self/autogroup");

describe.if(canIsolate("priority"))("priority on an interface", () => {
  /**
   * The nice values of the process and of its session; the latter is undefined if the kernel does not group by session.
   */
  function niceOf(pid: number): { process: number; session: number | undefined } {
    // The second field is a name in parentheses, which may contain anything.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    const session = groupsSessions
      ? Number(/nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, "utf8"))![1])
      : undefined;
    return { process: Number(fields[16]), session };
  }

  /** Starts on lo as a service without root does, with these capabilities. */
  function startWith(capabilities: string[], directory: TemporaryDirectory) {
    const given = capabilities.map((name) => `+${name}`).join(",");
    const asService = [
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      `--inh-caps=${given}`,
      `--ambient-caps=${given}`,
    ];
    const through = ["unshare", "-n", "sh", "-c", `ip link set lo up && exec "$@"`, "sh", ...asService];
    const executable = directory.copyOfProgram();
    return start(["--log-level", "debug", "--threads", "1", "lo", String(VNI), String(PORT), "127.0.0.1:9"], {
      through,
      executable,
      cwd: directory.path,
    });
  }

  const raised = { process: -10, session: groupsSessions ? -10 : undefined };
  const usual = { process: 0, session: groupsSessions ? 0 : undefined };
  const cases: [string[], typeof raised, RegExp | undefined][] = [
    [["net_raw", "sys_nice"], raised, undefined],
    [["net_raw"], usual, / DEBUG The system does not raise the priority \(CAP_SYS_NICE\): /],
  ];
  test.each(cases)("with %j it is %j, for the process and for its session", async (capabilities, want, said) => {
    using directory = new TemporaryDirectory();
    using running = startWith(capabilities, directory);
    await running.says("Capturing on lo");
    // The kernel allows a change of the session's value only at intervals, for everyone.
    for (let tries = 0; tries < 50 && niceOf(running.pid).session !== want.session; tries++) await Bun.sleep(20);
    expect(niceOf(running.pid)).toEqual(want);
    running.signal("SIGTERM");
    const { status, stderr } = await running.outcome;
    expect(status).toBe(0);
    if (said === undefined) expect(stderr).not.toContain("priority");
    else expect(stderr).toMatch(said);
  });
});
