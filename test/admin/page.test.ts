/** The page at `/` in a real browser shows the values of /status. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Admin } from "../../src/admin/admin.ts";
import { countTime, DELAY_BUCKETS_MS, RESPONSE_TIME_BUCKETS_MS } from "../../src/forward/counters.ts";
import type { Counters } from "../../src/observe/counters.ts";
import type { Problem } from "../../src/observe/problems.ts";
import { Browser, whyNoBrowser } from "./browser.ts";
import { configOf, lookOf, START_MS } from "./views.ts";

const why = whyNoBrowser();
if (why !== undefined) console.warn(`skipped: the status page in a browser (${why})`);

const HOSTILE = `</td><script>document.title = "taken"</script>&"'`;
const LOSS: Problem = { kind: "loss", message: `4 % never came ${HOSTILE}`, since_ms: START_MS };

/** The counters at a second: each has another value, so that none can be mistaken for another. */
const seenBy = (seconds: number) => (counters: Counters) => {
  counters.frames.captured = seconds * 1000;
  counters.requests.seen = seconds * 300;
  counters.upstream.bytes = seconds * 1_500_000;
  counters.responses["2xx"] = seconds * 250;
  counters.responses["5xx"] = seconds * 7;
  counters.responses.unanswered = seconds * 2;
  counters.requests.dropped.waiting_limit = seconds * 3;
  counters.requests.damage.gap = counters.requests.damaged = seconds * 4;
  counters.reassembly.gap_bytes = seconds * 50;
  counters.reassembly.delivered_bytes = seconds * 950;
  counters.flows.active = 64;
  const { requests } = counters.destinations[0]!;
  requests.forwarded = seconds * 200;
  requests.dropped.waiting_limit = 7;
  for (let i = 0; i < seconds * 10; i++) {
    countTime(counters.delay, DELAY_BUCKETS_MS, 1.5);
    countTime(counters.response_time, RESPONSE_TIME_BUCKETS_MS, 40);
  }
};

type Seen = { [path: string]: string };

/** Each value of a status by its path, as text. */
function leaves(value: unknown, path = ""): Seen {
  const isList = Array.isArray(value) && value.every((each) => typeof each !== "object");
  if (typeof value !== "object" || value === null || isList)
    return { [path]: Array.isArray(value) ? value.join(", ") : String(value ?? "–") };
  const inner = Object.entries(value).map(([name, part]) => leaves(part, path === "" ? name : `${path}.${name}`));
  return Object.assign({}, ...inner) as Seen;
}

const SHOWN = `Object.fromEntries([...document.querySelectorAll("[data-path]")].map((cell) => [cell.dataset.path, cell.textContent]))`;
const PLOTS = `Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.ariaLabel, [...plot.querySelectorAll("b")].map((number) => number.textContent)]))`;
const POINTS = `[...document.querySelectorAll(".plot polyline")].map((line) => line.getAttribute("points").split(" ").filter(Boolean).length)`;

describe.if(why === undefined)("the status page", () => {
  let admin: Admin;
  let browser: Browser;
  let seconds = 0;

  /** One second passes. */
  const pass = (problems: readonly Problem[] = []) => {
    seconds++;
    admin.show(lookOf(seconds, seenBy(seconds), { problems }, ["b:1", HOSTILE]));
  };

  /** Waits until the page shows what /status says. */
  async function shown(): Promise<Seen> {
    const status = (await (await fetch(`${admin.url}status`)).json()) as { time: string };
    const isSo = `new Promise((resolve) => {
      const look = () => document.body.dataset.time === ${JSON.stringify(status.time)} ? resolve() : setTimeout(look, 10);
      look();
    })`;
    await browser.evaluate(isSo);
    const { rates: _rates, problems: _problems, process: _process, admin: _admin, ...rest } = status as any;
    return leaves(rest);
  }

  beforeAll(async () => {
    admin = new Admin(
      configOf("--set-header", "Authorization: secret", "--also", "b:1", "--also", "c:2"),
      () => START_MS,
    );
    admin.phase = "capturing";
    for (let i = 0; i < 30; i++) pass();
    browser = await Browser.start();
    await browser.screen({ width: 1200, height: 900 });
    await browser.open(admin.url);
  });

  afterAll(async () => {
    await browser?.close();
    admin?.close();
  });

  test("shows the values of /status, and follows them", async () => {
    for (let i = 0; i < 2; i++) {
      pass();
      const wanted = await shown();
      expect(await browser.evaluate<Seen>(SHOWN)).toMatchObject(wanted);
    }
  });

  test("shows rates, and plots the time before the page was opened", async () => {
    await shown();
    expect(await browser.evaluate<Record<string, string[]>>(PLOTS)).toEqual({
      "Requests per second": ["300"],
      "Bytes forwarded per second": ["1.5 MB"],
      "Responses per second, by class": ["250", "0", "0", "7", "0", "2"],
      "Bytes that never arrived": ["5 %"],
      "Not forwarded per second": ["4", "3", "0"],
      "Requests that wait for their turn": ["0"],
      Connections: ["64", "0"],
      // 10 a second in each of two buckets, from 1 to 2 ms and from 25 to 50 ms, taken as spread evenly.
      "Delay, from capture to the endpoint": ["1.5 ms", "1.99 ms"],
      "Response time of the endpoint": ["37.5 ms", "49.8 ms"],
    });
    // 32 looks have 31 seconds between them.
    const points = await browser.evaluate<number[]>(POINTS);
    expect(new Set(points)).toEqual(new Set([seconds - 1]));
  });

  test("describes problems in words, with any content, and shows when they are over", async () => {
    const problems = `[...document.querySelectorAll("#problems li")].map(({ className, textContent }) => className + ": " + textContent)`;
    await shown();
    expect(await browser.evaluate<string[]>(problems)).toEqual(["fine: Nothing is wrong (capturing)."]);
    pass([LOSS]);
    await shown();
    expect(await browser.evaluate<string[]>(problems)).toEqual([`wrong: ${LOSS.message}`]);
    expect(await browser.evaluate<string>("document.title")).toBe("vxlan-to-http");
    pass();
    await shown();
    expect(await browser.evaluate<string[]>(problems)).toEqual(["fine: Nothing is wrong (capturing)."]);
  });

  test("shows the outcome of the same requests at further destinations", async () => {
    const cells = `[...document.querySelectorAll("#destinations tr")].map((row) => [...row.cells].map((cell) => cell.textContent))`;
    await shown();
    expect((await browser.evaluate<string[][]>(cells)).slice(1)).toEqual([
      ["b:1", "yes", (seconds * 200).toLocaleString("en"), "0", "7", "0"],
      [HOSTILE, "yes", "0", "0", "0", "0"],
    ]);
  });

  test("arrow keys move through the past, in all plots", async () => {
    const note = `document.querySelector(".plot:nth-child(2) small").textContent`;
    await browser.press("Tab");
    expect(await browser.evaluate<string>("document.activeElement.className")).toBe("plot");
    expect(await browser.evaluate<string>(note)).toStartWith("at most");
    await browser.press("ArrowLeft");
    expect(await browser.evaluate<string>(note)).toMatch(/^at \d.*, at most/);
    await browser.press("Escape");
    expect(await browser.evaluate<string>(note)).toStartWith("at most");
  });

  test("nothing is wider than a phone, also in dark colours", async () => {
    await browser.screen({ width: 360, height: 740, isDark: true });
    expect(await browser.evaluate<number>("document.documentElement.scrollWidth")).toBe(360);
    const colours = `[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]`;
    expect(await browser.evaluate<string[]>(colours)).toEqual(["rgb(16, 18, 23)", "rgb(233, 235, 240)"]);
  });

  test("asks no other server, and its console is empty", () => {
    expect(new Set(browser.requests)).toEqual(new Set(["", "history", "status"].map((path) => admin.url + path)));
    expect(browser.complaints).toEqual([]);
  });

  test("without scripts it is a table of the same values, and the values of set header fields stay secret", async () => {
    pass([LOSS]);
    const plain = await Browser.start();
    try {
      await plain.withoutScripts();
      await plain.open(admin.url);
      const { nodes } = await plain.ask("Accessibility.getFullAXTree");
      const texts = (nodes as any[]).map(({ name }) => name?.value as string | undefined);
      expect(texts).toContain("requests.seen");
      expect(texts).toContain(String(seconds * 300));
      expect(texts).toContain(LOSS.message);
    } finally {
      await plain.close();
    }
    const html = await (await fetch(admin.url)).text();
    expect(html).toContain("Authorization");
    expect(html).not.toContain("secret");
  });
});
