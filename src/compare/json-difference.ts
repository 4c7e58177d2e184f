/**
 * Finds the differences of two JSON values: paths without array indices (`items[].price`), each with its kind. An
 * object's members have no order. In arrays, elements that are the same are found wherever they stand, so that one more
 * element does not make all behind it differ.
 */
import type { DifferenceKind, Differences } from "./difference.ts";
import { hashOf, isSameJson, isSameNumber, JsonKind, type JsonValue, membersOf } from "./json.ts";

/** The most elements with the same hash that are compared with one; more can only be made on purpose. */
const ALIKE_MAX = 16;
/** The longest path; a deeper difference is reported at the place where the path is cut. */
export const PATH_LEN_MAX = 256;
const PLAIN_NAME = /^[^\s.[\]"\\\p{C}]+$/u;

/** Adds the differences of two values. `isIgnored`: whether a place is ignored, with all within it. */
export function compareJson(
  production: JsonValue,
  endpoint: JsonValue,
  differences: Differences,
  isIgnored: (path: string) => boolean,
): void {
  new Comparer(differences, isIgnored).compare(production, endpoint);
}

class Comparer {
  /** The way from the root to the place under way: names, and null for an array's elements. */
  private readonly steps: (string | null)[] = [];

  constructor(
    private readonly differences: Differences,
    private readonly isIgnored: (path: string) => boolean,
  ) {}

  compare(production: JsonValue, endpoint: JsonValue): void {
    if (this.differences.isFull) return;
    const { kind } = production;
    if (kind !== endpoint.kind) this.add("type", production, endpoint);
    else if (kind === JsonKind.OBJECT) this.compareObjects(production, endpoint);
    else if (kind === JsonKind.ARRAY) this.compareArrays(production, endpoint);
    else if (production.text === endpoint.text) return;
    else if (kind !== JsonKind.NUMBER || !isSameNumber(production.text, endpoint.text))
      this.add("value", production, endpoint);
  }

  private compareObjects(production: JsonValue, endpoint: JsonValue): void {
    const isAlike =
      production.names.length === endpoint.names.length &&
      production.names.every((name, i) => name === endpoint.names[i]);
    if (isAlike) {
      production.names.forEach((name, i) => this.within(name, production.items[i]!, endpoint.items[i]!));
      return;
    }
    const members = membersOf(production);
    const others = membersOf(endpoint);
    for (const [name, values] of members) {
      const other = others.get(name) ?? [];
      values.forEach((value, i) => this.within(name, value, other[i] ?? null));
    }
    for (const [name, values] of others) {
      for (const value of values.slice(members.get(name)?.length ?? 0)) this.within(name, null, value);
    }
  }

  private compareArrays(production: JsonValue, endpoint: JsonValue): void {
    const [a, b] = [production.items, endpoint.items];
    const least = Math.min(a.length, b.length);
    let from = 0;
    while (from < least && isSameJson(a[from]!, b[from]!)) from++;
    let behind = 0;
    while (behind < least - from && isSameJson(a[a.length - 1 - behind]!, b[b.length - 1 - behind]!)) behind++;
    const [left, right] = withoutAlike(a.slice(from, a.length - behind), b.slice(from, b.length - behind));
    if (left.length === 0 && right.length === 0) {
      if (from < least) this.add("order", production, endpoint);
      return;
    }
    for (let i = 0; i < Math.max(left.length, right.length); i++) this.within(null, left[i] ?? null, right[i] ?? null);
  }

  /** Compares a member or an element that one of the two values may lack. */
  private within(step: string | null, production: JsonValue | null, endpoint: JsonValue | null): void {
    this.steps.push(step);
    if (production === null || endpoint === null)
      this.add(endpoint === null ? "missing" : "extra", production, endpoint);
    else this.compare(production, endpoint);
    this.steps.pop();
  }

  private add(kind: DifferenceKind, production: JsonValue | null, endpoint: JsonValue | null): void {
    const { steps } = this;
    const path = pathOf(steps);
    // An ignored place is ignored with all within it.
    for (let depth = 1; depth <= steps.length; depth++) if (this.isIgnored(pathOf(steps.slice(0, depth)))) return;
    this.differences.add(
      kind,
      path,
      steps.filter((step) => step !== null),
      production,
      endpoint,
    );
  }
}

/** Removes the elements that both arrays have, wherever they stand. Returns the rest, in its order. */
function withoutAlike(a: readonly JsonValue[], b: readonly JsonValue[]): [JsonValue[], JsonValue[]] {
  const byHash = new Map<number, JsonValue[]>();
  for (const value of b) {
    const hash = hashOf(value);
    const alike = byHash.get(hash);
    if (alike === undefined) byHash.set(hash, [value]);
    else alike.push(value);
  }
  const left: JsonValue[] = [];
  const taken = new Map<JsonValue, number>();
  for (const value of a) {
    const alike = byHash.get(hashOf(value)) ?? [];
    // From the last one on, because the last one can be removed at no cost.
    let place = alike.length - 1;
    const end = Math.max(place - ALIKE_MAX, -1);
    while (place > end && !isSameJson(value, alike[place]!)) place--;
    if (place === end) {
      left.push(value);
      continue;
    }
    const found = alike[place]!;
    taken.set(found, (taken.get(found) ?? 0) + 1);
    alike.splice(place, 1);
  }
  // One object may stand for several values (true, null).
  const right = b.filter((value) => {
    const count = taken.get(value) ?? 0;
    if (count > 0) taken.set(value, count - 1);
    return count === 0;
  });
  return [left, right];
}

/** A path as text, `items[].price`; a name with other characters stands in brackets and quotes. */
export function pathOf(steps: readonly (string | null)[]): string {
  let path = "";
  for (const step of steps) {
    if (step === null) path += "[]";
    else if (!PLAIN_NAME.test(step)) path += `[${JSON.stringify(step)}]`;
    else path += path === "" ? step : `.${step}`;
    if (path.length > PATH_LEN_MAX) return path.slice(0, PATH_LEN_MAX);
  }
  return path;
}
