/** A destination's name and its addresses: which ones are tried, and when the name is looked up again. */
import { expect, test } from "bun:test";
import { Addresses, LOOKUP_PAUSE_MS } from "../../src/forward/addresses.ts";
import { ATTEMPT_DELAY_MS } from "../../src/forward/dial.ts";
import { Scripted } from "./scripted.ts";

/** A world in which the name has these addresses, until `addresses` changes. */
function named(...addresses: string[]) {
  const world = new Scripted({ connectTimeoutMs: 5000 });
  const lookups = { count: 0, addresses };
  world.connector.find = () => {
    lookups.count++;
    return lookups.addresses;
  };
  return { world, lookups, tried: () => world.connector.addresses };
}

test("if an address refuses, the next is tried at once, and the one that took the connection is the first from then on", () => {
  const { world, tried } = named("::1", "127.0.0.1");
  world.destination.connect(null);
  world.connector.refuse();
  expect(tried()).toEqual(["::1", "127.0.0.1"]);
  world.connector.accept();
  world.destination.connect(null);
  expect(tried()).toEqual(["::1", "127.0.0.1", "127.0.0.1"]);
  expect(world.told.lines).toEqual([]);
});

test("if an address does not respond, the next is tried, and the first that opens wins", () => {
  const { world, tried } = named("10.0.0.1", "10.0.0.2");
  const upstream = world.destination.connect(null);
  world.pass(ATTEMPT_DELAY_MS - 10);
  expect(tried()).toEqual(["10.0.0.1"]);
  world.pass(10);
  expect(tried()).toEqual(["10.0.0.1", "10.0.0.2"]);
  const [dead, alive] = world.connector.attempts.splice(0);
  world.connector.attempts.push(alive!);
  world.connector.accept();
  expect(upstream.isOpen).toBe(true);
  // The other address responds late: its connection is closed, and nothing else happens.
  world.connector.attempts.push(dead!);
  expect(world.connector.accept().terminated).toBe(true);
  expect(world.upstream).toMatchObject({ connects: 1, connect_errors: 0 });
});

test("a name is looked up again after a failed connection: it may have moved", () => {
  const { world, lookups, tried } = named("10.0.0.1");
  world.destination.connect(null);
  lookups.addresses = ["10.0.0.9"];
  world.connector.refuse();
  for (let waited = 0; waited < 2000 && !tried().includes("10.0.0.9"); waited += 10) {
    world.pass(10);
    while (world.connector.attempts.length > 0 && tried().at(-1) === "10.0.0.1") world.connector.refuse();
  }
  expect(tried().at(-1)).toBe("10.0.0.9");
  world.connector.accept();
  expect(world.upstream.connects).toBe(1);
});

test.each([
  [LOOKUP_PAUSE_MS - 1, 1],
  [LOOKUP_PAUSE_MS, 2],
])("%d ms after it was looked up, a name with a failed address has been looked up %d times", (ms, times) => {
  const { world, lookups } = named("10.0.0.1");
  const addresses = new Addresses("endpoint", world.connector);
  addresses.get(world.nowMs, () => {});
  addresses.failed("10.0.0.1");
  addresses.get(world.nowMs + ms, () => {});
  expect(lookups.count).toBe(times);
});

test("an unknown name is reported as such, and tried again", () => {
  const { world, lookups } = named();
  world.destination.connect(null);
  expect(world.told.lines).toEqual(["outage: no such host"]);
  lookups.addresses = ["10.0.0.1"];
  world.pass(1000);
  world.connector.accept();
  expect(world.upstream.connects).toBe(1);
});

test.each([
  ["ECONNREFUSED", "connection refused"],
  ["EHOSTUNREACH", "there is no route to this host"],
  ["ENETUNREACH", "there is no route to its network"],
  ["ETIMEDOUT", "it does not respond"],
  ["EINVAL", "the system does not accept this address (does this host have the interface of its zone?)"],
  ["EOTHER", "Failed to connect"],
])("the system's code %s is reported in words", (code, told) => {
  const { world } = named("10.0.0.1");
  world.destination.connect(null);
  world.connector.refuse(Object.assign(new Error("Failed to connect"), { code }));
  expect(world.told.lines).toEqual([`outage: ${told}`]);
});
