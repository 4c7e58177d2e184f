/**
 * The part of the page at `/` that shows --compare: as HTML that works without scripts, and as a tab in a real browser.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Admin } from "../../src/admin/admin.ts";
import { comparisonHtml } from "../../src/admin/comparison-html.ts";
import { countLatency } from "../../src/compare/latency.ts";
import {
  newTally,
  placeIn,
  routeIn,
  type Tally,
  worstOf,
  WORST_PLACES_MAX,
  WORST_ROUTES_MAX,
} from "../../src/compare/tally.ts";
import { ComparisonReport } from "../../src/observe/comparison-report.ts";
import { Log } from "../../src/observe/log.ts";
import { Browser, whyNoBrowser } from "./browser.ts";
import { configOf, lookOf, START_MS } from "./views.ts";

const why = whyNoBrowser();
if (why !== undefined) console.warn(`skipped: the comparison in a browser (${why})`);

const HOSTILE = `</td><script>document.title = "taken"</script>&"'`;

/** A route with 10 comparisons, `different` of them different, in `place`. */
function addRoute(tally: Tally, path: string, different: number, production = "1", endpoint = "2"): void {
  const route = routeIn(tally, "GET", path);
  Object.assign(route, { compared: 10, different });
  tally.compared += 10;
  tally.production_responses += 10;
  tally.different += different;
  tally.same += 10 - different;
  for (const latency of [tally.latency, route.latency]) {
    countLatency(latency.production, 2);
    countLatency(latency.endpoint, 50);
  }
  if (different === 0) return;
  const place = placeIn(route, "value a", "value", () => `a ${HOSTILE}`)!;
  place.count = different;
  const item = { time: "t", method: "GET", target: `${path}?q=${HOSTILE}`, client: "10.0.0.1", production, endpoint };
  place.examples.push({ draw: 0.5, item });
}

function tallyOf(worst: number): Tally {
  const tally = newTally();
  tally.not_comparable.pass_through = 77;
  addRoute(tally, "/same", 0);
  addRoute(tally, "/bad", worst, `<b>price 12 €</b>`, `<b>price 13 €</b>`);
  addRoute(tally, `/less/${HOSTILE}`, 1, "", "more");
  return tally;
}

const htmlOf = (tally: Tally) => comparisonHtml(worstOf(tally));

describe("as HTML", () => {
  const html = htmlOf(tallyOf(5));

  test("routes are sorted by their number of differences", () => {
    const places = ["/bad", "/less/", "/same"].map((path) => html.indexOf(`<th scope="row">GET ${path}`));
    expect(places[0]).toBeGreaterThan(0);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  test("an example marks the differing parts; an empty side is described in words", () => {
    expect(html).toContain("<code>&#60;b&#62;price 1<mark>2</mark> €&#60;/b&#62;</code>");
    expect(html).toContain("<code>&#60;b&#62;price 1<mark>3</mark> €&#60;/b&#62;</code>");
    expect(html).toContain("<td><i>nothing</i></td>");
    expect(html).toContain("<code><mark>more</mark></code>");
  });

  test("the content of paths, places and examples is always shown as text", () => {
    expect(html).not.toContain("<script");
    expect(html).not.toContain(`="GET /less/</td>`);
  });

  test("it has a limit, and says how much it leaves out", () => {
    const tally = newTally();
    for (let i = 0; i < WORST_ROUTES_MAX + 3; i++) addRoute(tally, `/r${i}`, 1);
    const many = htmlOf(tally);
    expect(many.match(/<details/g)).toHaveLength(WORST_ROUTES_MAX);
    expect(many).toContain("3 more routes");
    const [route] = tally.routes.values();
    // One place was there before.
    const addPlaces = (from: number, to: number) => {
      for (let i = from; i < to; i++) placeIn(route!, `value b${i}`, "value", () => `b${i}`)!.count = 1;
    };
    addPlaces(1, WORST_PLACES_MAX);
    expect(htmlOf(tally)).not.toContain("more: see /compare");
    addPlaces(WORST_PLACES_MAX, WORST_PLACES_MAX + 3);
    expect(htmlOf(tally)).toContain("3 more: see /compare");
  });

  test("before the first comparison there is no curve and no route", () => {
    const empty = htmlOf(newTally());
    expect(empty).toContain("Nothing was compared yet");
    expect(empty).not.toContain("<svg");
  });
});

const FOCUS = "document.activeElement.textContent";
const SHOWN = `["run", "comparison"].filter((id) => document.getElementById(id).checkVisibility())`;
const NUMBERS = `[...document.querySelectorAll("#comparison .routes > tbody > tr:first-child > td")].slice(0, 2).map((cell) => cell.textContent)`;
const OPEN = `[...document.querySelectorAll("#comparison details[open]")].map(({ dataset }) => dataset.key)`;

describe.if(why === undefined)("as a tab", () => {
  const now = () => START_MS;
  const report = new ComparisonReport(new Log("silent", "plain", now), null, now);
  let admin: Admin;
  let browser: Browser;

  beforeAll(async () => {
    report.update([tallyOf(5)]);
    admin = new Admin(configOf(), now, report);
    admin.show(lookOf(1));
    browser = await Browser.start();
    await browser.screen({ width: 1200, height: 900 });
    await browser.open(admin.url);
  });

  afterAll(async () => {
    await browser?.close();
    admin?.close();
  });

  test("keys choose the tab, and open a route; the route stays open, with the focus, while counts rise", async () => {
    expect(await browser.evaluate<string[]>(SHOWN)).toEqual(["run"]);
    await browser.press("Tab");
    expect(await browser.evaluate<string>(FOCUS)).toBe("The run");
    await browser.press("ArrowRight");
    expect(await browser.evaluate<string>(FOCUS)).toBe("Comparison");
    expect(await browser.evaluate<string[]>(SHOWN)).toEqual(["comparison"]);
    await browser.press("Tab");
    await browser.press("Enter");
    expect(await browser.evaluate<string[]>(OPEN)).toEqual(["GET /bad"]);
    expect(await browser.evaluate<string[]>(NUMBERS)).toEqual(["5", "10"]);
    report.update([tallyOf(7)]);
    admin.show(lookOf(2));
    await browser.evaluate(`new Promise((resolve) => {
      const look = () => (${NUMBERS})[0] === "7" ? resolve() : setTimeout(look, 10);
      look();
    })`);
    expect(await browser.evaluate<string[]>(OPEN)).toEqual(["GET /bad"]);
    expect(await browser.evaluate<string>(FOCUS)).toContain("(7)");
  });

  test("nothing is wider than a phone, compared content never runs, and the page asks no other server", async () => {
    await browser.screen({ width: 360, height: 740 });
    expect(await browser.evaluate<number>("document.documentElement.scrollWidth")).toBe(360);
    expect(await browser.evaluate<string>("document.title")).toBe("vxlan-to-http");
    const asked = ["", "history", "status"].map((path) => admin.url + path);
    expect(browser.requests.filter((url) => !asked.includes(url))).toEqual([]);
    expect(browser.complaints).toEqual([]);
  });

  test("without scripts there are no tabs: everything is shown, one part below the other", async () => {
    await browser.withoutScripts();
    await browser.open(admin.url);
    const { nodes } = await browser.ask("Accessibility.getFullAXTree");
    const texts = (nodes as any[]).map(({ name }) => name?.value as string | undefined);
    for (const text of ["requests.seen", "Not comparable: pass_through", "77", "GET /bad"])
      expect(texts).toContain(text);
    expect((nodes as any[]).map(({ role }) => role?.value)).not.toContain("tab");
  });
});
