/** Work for files is done in order, a little at a time, and completely. */
import { expect, test } from "bun:test";
import { SLICE_MS, SLICED_BYTES_MAX, Slices } from "../../src/files/slices.ts";

/** A loop with a clock that moves by the time of the jobs; one turn of the event loop at a time. */
class Loop {
  nowMs = 0;
  readonly done: number[] = [];
  private readonly due: (() => void)[] = [];
  readonly slices = new Slices(
    () => this.nowMs,
    (callback) => this.due.push(callback),
  );

  add(number: number, takesMs: number, bytes = 1, then: () => void = () => {}): void {
    this.slices.add(bytes, () => {
      this.nowMs += takesMs;
      this.done.push(number);
      then();
    });
  }

  /** The finished jobs, turn by turn, until no job is due. */
  turns(): number[][] {
    const all: number[][] = [];
    for (let before = this.done.length; this.due.length > 0; before = this.done.length) {
      for (const callback of this.due.splice(0)) callback();
      all.push(this.done.slice(before));
    }
    return all;
  }
}

test("no job is done at once; one turn does as much as its time allows, and ends the job under way", () => {
  const loop = new Loop();
  for (let i = 0; i < 5; i++) loop.add(i, SLICE_MS * 0.4);
  loop.add(5, SLICE_MS * 10);
  loop.add(6, 0);
  expect(loop.done).toEqual([]);
  expect(loop.turns()).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
});

test("a job that a job adds comes last, also if the first is the last one", () => {
  const loop = new Loop();
  loop.add(0, 0, 1, () => loop.add(2, 0));
  loop.add(1, 0, 1);
  expect(loop.turns().flat()).toEqual([0, 1, 2]);
  loop.add(3, SLICE_MS, 1, () => loop.add(4, 0));
  expect(loop.turns()).toEqual([[3], [4]]);
});

test("if too many bytes wait, all jobs are done at once", () => {
  const loop = new Loop();
  loop.add(0, SLICE_MS, SLICED_BYTES_MAX);
  expect(loop.done).toEqual([]);
  loop.add(1, SLICE_MS);
  expect(loop.done).toEqual([0, 1]);
  // Finished jobs hold nothing any more.
  loop.add(2, SLICE_MS, SLICED_BYTES_MAX);
  expect(loop.done).toEqual([0, 1]);
  loop.slices.finish();
  expect(loop.done).toEqual([0, 1, 2]);
  expect(loop.turns().flat()).toEqual([]);
});
