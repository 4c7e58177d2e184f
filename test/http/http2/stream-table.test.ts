/** The table of streams behaves like a Map. */
import { expect, test } from "bun:test";
import { PLACES_MAX, StreamTable } from "../../../src/http/http2/stream-table.ts";
import { Random } from "../../support/random.ts";

test.each([1, 30, 3 * PLACES_MAX])("like a Map, with up to %p streams that begin in order and end in any", (most) => {
  const random = new Random(most);
  const table = new StreamTable<{ stream: number }>();
  const model = new Map<number, { stream: number }>();
  for (let step = 0, next = 1; step < 20_000; step++) {
    if (model.size < most && random.chance(0.52)) {
      const value = { stream: next };
      model.set(next, value);
      table.add(next, value);
      next += 2;
    } else {
      // Mostly the oldest; some stay for long.
      const streams = [...model.keys()].slice(0, random.chance(0.9) ? 8 : undefined);
      const stream = streams.length > 0 && random.chance(0.9) ? random.pick(streams) : random.int(1, next) | 1;
      model.delete(stream);
      table.delete(stream);
    }
    const asked = random.int(0, next) | 1;
    expect(table.get(asked)).toBe(model.get(asked));
    expect(table.size).toBe(model.size);
    if (step % 1000 === 0) expect(table.entries()).toEqual([...model]);
  }
  table.clear();
  expect([table.size, table.entries(), table.get(1)]).toEqual([0, [], undefined]);
});
