/**
 * Who gives way to whom when memory is full and everything moves: a holder that holds most, to one that holds much
 * less.
 */
import { expect, test } from "bun:test";
import { Holder, Holders } from "../../src/memory/holders.ts";
import { Random } from "../support/random.ts";

class Held extends Holder {
  gaveWay = 0;

  constructor(
    private readonly holders: Holders,
    private readonly pieceBytes: number,
  ) {
    super();
  }

  hold(bytes: number): void {
    this.heldBytes += bytes;
    this.holders.file(this);
  }

  giveWay(): void {
    this.gaveWay++;
    this.hold(-Math.min(this.pieceBytes, this.heldBytes));
  }
}

/** Holders with these numbers of bytes. */
function holding(...bytes: number[]): [Holders, Held[]] {
  const holders = new Holders();
  const all = bytes.map((each) => {
    const held = new Held(holders, 1);
    held.hold(each);
    return held;
  });
  return [holders, all];
}

test.each([
  ["none if no holder holds anything", [], 1, null],
  ["none if all hold the same", [5000, 5000, 5000], 5000, null],
  ["none that holds twice as much at most", [1000, 2000, 1999], 1000, null],
  ["whoever is two classes above", [1024, 4096], 2047, 1],
  ["none that is one class above", [1024, 4095], 1024, null],
  ["the one that holds eight times as much", [1000, 8000], 1000, 1],
  ["the one that holds most", [8000, 70_000, 9000], 1, 1],
  ["of those that hold about as much, the one that has done so longest", [600, 70_000, 71_000, 69_000], 600, 1],
  ["none for more bytes than all held ones", [100, 200], 1e9, null],
  ["also more than 32 bits can express", [1, 2 ** 40], 2 ** 20, 1],
])("%s gives way", (_, bytes, askedBytes, expected) => {
  const [holders, all] = holding(...bytes);
  const found = holders.muchMoreThan(askedBytes);
  expect(found === null ? null : all.indexOf(found as Held)).toBe(expected);
});

test("a holder that holds nothing any more is not found, and one that holds less is found with the smaller amount", () => {
  const [holders, [small, large, middle]] = holding(10, 10_000, 1000);
  large!.hold(-10_000);
  expect(holders.muchMoreThan(10)).toBe(middle!);
  middle!.hold(-980);
  expect(holders.muchMoreThan(10)).toBeNull();
  small!.hold(10_000);
  expect(holders.muchMoreThan(10)).toBe(small!);
});

test("after any changes, the found holder is among those that hold most: more than twice the requested amount", () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = new Random(seed);
    const holders = new Holders();
    const all = Array.from({ length: 20 }, () => new Held(holders, 1));
    for (let step = 0; step < 200; step++) {
      const one = all[random.int(0, all.length - 1)]!;
      one.hold(random.chance(0.5) ? random.int(0, 1 << random.int(0, 24)) : -random.int(0, one.heldBytes));
      const askedBytes = random.int(1, 1 << random.int(0, 20));
      const most = Math.max(...all.map(({ heldBytes }) => heldBytes));
      const found = holders.muchMoreThan(askedBytes);
      if (found === null) expect(most).toBeLessThan(askedBytes * 8);
      else {
        expect(found.heldBytes).toBeGreaterThan(askedBytes * 2);
        expect(found.heldBytes * 2).toBeGreaterThan(most);
      }
    }
  }
});

test("beside many holders that take all that they can, each later one gets its share, and costs one step for each piece", () => {
  const [PIECE, LIMIT, MANY, LATE, SHARE] = [100, 1_000_000, 100, 300, 5];
  const holders = new Holders();
  let used = 0;
  const take = (one: Held): boolean => {
    while (used + PIECE > LIMIT) {
      const giving = holders.muchMoreThan(one.heldBytes + PIECE);
      if (giving === null) return false;
      used -= PIECE;
      giving.giveWay();
    }
    used += PIECE;
    one.hold(PIECE);
    return true;
  };
  const greedy = Array.from({ length: MANY }, () => new Held(holders, PIECE));
  for (let round = 0; round < LIMIT / PIECE; round++) for (const one of greedy) take(one);
  const before = greedy.reduce((sum, { gaveWay }) => sum + gaveWay, 0);
  for (let i = 0; i < LATE; i++) {
    const late = new Held(holders, PIECE);
    for (let piece = 0; piece < SHARE; piece++) expect(take(late)).toBe(true);
    // They try to take the room back.
    for (const one of greedy) take(one);
    expect(late.gaveWay).toBe(0);
  }
  const gave = greedy.reduce((sum, { gaveWay }) => sum + gaveWay, -before);
  expect(gave).toBe(LATE * SHARE);
});
