/** --admin of the executable, seen through its port. */
import { describe, expect, test } from "bun:test";
import { run, type Running, start, TemporaryDirectory } from "./program.ts";
import { refusingAddress } from "./recording-endpoint.ts";
import { PORT, REQUEST, session, VNI } from "./sessions.ts";
import { bytes, pcap } from "../support/frames.ts";

const PAGES = ["/", "/status", "/history", "/metrics", "/healthz", "/livez"];
/** A look comes every second. */
const LOOKS_MS_MAX = 5000;

/** Reads a savefile from a pipe that stays open; the test writes its content. */
async function reading(address: string, ...flags: string[]): Promise<{ running: Running; url: string }> {
  const args = ["--admin", "0", ...flags, "--read", "-", String(VNI), String(PORT), address];
  const running = start(args, { stdin: "open" });
  const [url] = (await running.line("status page at ")).match(/http:\S+/)!;
  return { running, url: url! };
}

async function end(running: Running) {
  await running.closeStdin();
  return running.outcome;
}

/** Asks until the condition holds. */
async function until(url: string, isSo: (response: Response) => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + LOOKS_MS_MAX;
  while (!(await isSo(await fetch(url)))) {
    if (performance.now() > untilMs) throw new Error(`${url} does not come to it`);
    await Bun.sleep(50);
  }
}

const hasStatus = (status: number) => async (response: Response) => response.status === status;

describe.concurrent("--admin", () => {
  test("serves all pages while it runs, and none after its end", async () => {
    const { running, url } = await reading(refusingAddress());
    await running.write(pcap([]));
    await until(`${url}healthz`, hasStatus(200));
    for (const path of PAGES) {
      const [get, head] = [await fetch(url + path.slice(1)), await fetch(url + path.slice(1), { method: "HEAD" })];
      expect([path, get.status, head.status]).toEqual([path, 200, 200]);
      expect(get.headers.get("content-length")).toBe(head.headers.get("content-length"));
      expect((await get.text()).length).toBeGreaterThan(0);
      expect((await fetch(url + path.slice(1), { method: "POST", body: "a" })).status).toBe(405);
    }
    expect((await end(running)).status).toBe(0);
    expect(fetch(url)).rejects.toThrow();
  });

  test("counts forwarded requests while the run goes on", async () => {
    const endpoint = Bun.serve({ port: 0, fetch: () => new Response("ok") });
    try {
      const { running, url } = await reading(`127.0.0.1:${endpoint.port}`);
      await running.write(pcap(session([REQUEST, REQUEST])));
      await until(`${url}status`, async (response) => ((await response.json()) as any).requests.answered === 2);
      const metrics = await (await fetch(`${url}metrics`)).text();
      expect(metrics).toContain('\nvxlan_to_http_requests_answered_total{destination="endpoint"} 2\n');
      expect(metrics).toContain('\nvxlan_to_http_responses_total{destination="endpoint",class="2xx"} 2\n');
      expect(metrics).toContain('\nvxlan_to_http_response_time_seconds_count{destination="endpoint"} 2\n');
      expect(metrics).toContain('\nvxlan_to_http_destination_up{destination="endpoint"} 1\n');
      expect((await end(running)).status).toBe(0);
    } finally {
      await endpoint.stop(true);
    }
  });

  test("is not healthy while the endpoint takes no connections, and is healthy again when it does", async () => {
    const address = refusingAddress();
    const { running, url } = await reading(address, "--outage-timeout-s", "60");
    await running.write(pcap(session([REQUEST])));
    await until(`${url}healthz`, hasStatus(503));
    const reason = await (await fetch(`${url}healthz`)).json();
    expect(reason).toMatchObject({
      status: "unhealthy",
      reason: "endpoint_down",
      message: expect.stringContaining(address),
    });
    const metrics = await (await fetch(`${url}metrics`)).text();
    expect(metrics).toContain('\nvxlan_to_http_destination_up{destination="endpoint"} 0\n');
    const endpoint = Bun.serve({ port: Number(address.split(":")[1]), fetch: () => new Response("ok") });
    try {
      await until(`${url}healthz`, hasStatus(200));
      expect((await end(running)).status).toBe(0);
    } finally {
      await endpoint.stop(true);
    }
  });

  test("a further destination that is down shows on every page, and does not change the health", async () => {
    const endpoint = Bun.serve({ port: 0, fetch: () => new Response("ok") });
    const down = refusingAddress();
    // At the end, the run waits this long for a destination that does nothing.
    const patience = ["--response-timeout-ms", "200"];
    try {
      const { running, url } = await reading(`127.0.0.1:${endpoint.port}`, "--compare", "--control", down, ...patience);
      await running.write(pcap(session([REQUEST])));
      const isTold = async (response: Response) => ((await response.json()) as any).destinations[0].up === false;
      await until(`${url}healthz`, isTold);
      expect((await fetch(`${url}healthz`)).status).toBe(200);
      const { problems, now } = (await (await fetch(`${url}status`)).json()) as any;
      const message = expect.stringContaining(`The control ${down} has taken no connections since`);
      expect(problems).toContainEqual(
        expect.objectContaining({ kind: "destination_down", destination: down, message }),
      );
      expect(now.destinations).toMatchObject([{ address: down, up: false, upstream_connected: null }]);
      const metrics = await (await fetch(`${url}metrics`)).text();
      expect(metrics).toContain('\nvxlan_to_http_destination_up{destination="endpoint"} 1\n');
      expect(metrics).toContain(`\nvxlan_to_http_destination_up{destination="${down}"} 0\n`);
      expect((await end(running)).status).toBe(0);
    } finally {
      await endpoint.stop(true);
    }
  });

  test("a used port is refused at the start, before anything is read, and the message names its owner", async () => {
    using directory = new TemporaryDirectory();
    const savefile = directory.file("one.pcap", pcap(session([REQUEST])));
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const args = ["--admin", String(listener.port), "--read", savefile, String(VNI), String(PORT), refusingAddress()];
    const { status, stderr } = await run(args);
    listener.stop();
    expect(status).toBe(1);
    expect(stderr).toBe(
      `vxlan-to-http: Cannot listen on 127.0.0.1:${listener.port} (--admin): bun (process ${process.pid}) has that port; choose another\n`,
    );
  });

  test("without it nothing listens, and the summary does not mention it", async () => {
    using directory = new TemporaryDirectory();
    const summary = directory.file("summary.json", "");
    const flags = ["--summary", summary, "--log-level", "debug"];
    const args = [...flags, "--read", "-", String(VNI), String(PORT), refusingAddress()];
    const { status, stderr } = await run(args, { stdin: pcap([]) });
    expect(status).toBe(0);
    expect(stderr).not.toContain("Serving");
    expect(Object.keys(await Bun.file(summary).json())).not.toContain("admin");
  });
});

test("a wrong address is refused, with the accepted forms", async () => {
  const { status, stderr } = await run(["--admin", "70000", "--read", "-", "42", "80", "a:1"], { stdin: bytes() });
  expect(status).toBe(2);
  expect(stderr).toContain('Cannot use --admin="70000": expected host:port, [v6]:port, or a port of 127.0.0.1');
});
