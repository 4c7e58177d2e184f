/** /compare: the findings of --compare, with examples. Without a comparison there is no such page. */
import { expect, test } from "bun:test";
import { Admin } from "../../src/admin/admin.ts";
import { newTally, placeIn, routeIn } from "../../src/compare/tally.ts";
import { ComparisonReport } from "../../src/observe/comparison-report.ts";
import { Log } from "../../src/observe/log.ts";
import { configOf, START_MS } from "./views.ts";

test("/compare shows routes, places and examples", async () => {
  const now = () => START_MS;
  const report = new ComparisonReport(new Log("silent", "plain", now), null, now);
  const tally = newTally();
  const route = routeIn(tally, "GET", "/users/{}");
  Object.assign(tally, { compared: 2, same: 1, different: 1, production_responses: 2 });
  Object.assign(route, { compared: 2, different: 1 });
  const place = placeIn(route, "value a", "value", () => "a")!;
  const item = { time: "", method: "GET", target: "/users/1", client: "10.0.0.1", production: "1", endpoint: "2" };
  place.count = 1;
  place.examples.push({ draw: 0.5, item });
  report.update([tally]);
  const admin = new Admin(configOf(), now, report);
  try {
    const response = await fetch(`${admin.url}compare`);
    expect(response.headers.get("content-type")).toContain("json");
    expect(await response.json()).toMatchObject({
      compared: 2,
      different: 1,
      routes: [
        { path: "/users/{}", differences: [{ kind: "value", where: "a", count: 1, is_shown: true, examples: [item] }] },
      ],
    });
  } finally {
    admin.close();
  }
});

test("without a comparison, the page does not exist", async () => {
  const admin = new Admin(configOf(), () => START_MS);
  try {
    expect((await fetch(`${admin.url}compare`)).status).toBe(404);
  } finally {
    admin.close();
  }
});
