/**
 * What DESIGN.md's section Reassembly asks for and the flow table does not do yet. Each of these is a
 * fault that the simulator found, as short as it can be told; `test.failing` complains when one is mended.
 */
import { expect, test } from "bun:test";
import { data, type Event, FLUSH, Flows, syn } from "./flows.ts";

function fault(name: string, events: Event[], streams: string[]): void {
  test.failing(name, () => {
    expect(new Flows().play(...events).streams).toEqual(streams);
  });
}

// AVOIDED.earlyCut
fault("a truncated segment that overtakes its SYN does not hide the tail that the connection before lacks", [syn(0), data(1, "a", { missing: 3 }), data(5001, "x", { missing: 7 }), syn(5000), FLUSH], ["SYN a <3> flushed", "SYN x <7> flushed"]);
