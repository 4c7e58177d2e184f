/**
 * What DESIGN.md's section Reassembly asks for and the flow table does not do yet. Each of these is a
 * fault that the simulator found, as short as it can be told; `test.failing` complains when one is mended.
 */
import { expect, test } from "bun:test";
import { data, type Event, fin, FLUSH, Flows, syn } from "./flows.ts";

function fault(name: string, events: Event[], streams: string[]): void {
  test.failing(name, () => {
    expect(new Flows().play(...events).streams).toEqual(streams);
  });
}

// AVOIDED.earlyWhileOpen
fault("a truncated segment that overtakes its SYN does not hide the tail that the connection before lacks", [syn(0), data(1, "a", { missing: 3 }), data(5001, "x", { missing: 7 }), syn(5000), FLUSH], ["SYN a <3> flushed", "SYN x <7> flushed"]);
fault("a FIN that overtakes its SYN does not hide the FIN of the connection before", [syn(0), data(1, "a"), fin(5001), fin(2), syn(5000)], ["SYN a fin", "SYN fin"]);
fault("bytes that overtake their SYN stay together when the connection before ends", [syn(0), data(5001, "abc"), fin(3), data(5004, "def"), data(1, "ab"), syn(5000)], ["SYN ab fin", "SYN abcdef …"]);
