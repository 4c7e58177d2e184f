/**
 * What DESIGN.md's section Upstream sockets asks for and the program does not do yet. `test.failing`
 * complains when one of these is mended.
 */
import { expect, test } from "bun:test";
import { Scripted } from "./scripted.ts";

test.failing("holes that hold all memory cost no connection that needs a little for one batch", () => {
  const world = new Scripted({ bufferBytes: 1 << 20 });
  const { upstream, socket } = world.connect();
  // As a flow table does it: up to the limit, and no further.
  world.budget.take(1 << 20);
  world.batch([upstream, "one "], [upstream, "two"]);
  expect(world.told.lines).toEqual([]);
  expect(socket.text).toBe("one two");
});

test.failing("holes that hold all memory cost no connection that waits for the kernel for a moment", () => {
  const world = new Scripted({ bufferBytes: 1 << 20 });
  const { upstream, socket } = world.connect([3]);
  world.budget.take(1 << 20);
  world.batch([upstream, "one two"]);
  socket.events.writable();
  expect(world.told.lines).toEqual([]);
  expect(socket.text).toBe("one two");
});
