/** Differences between two responses. */
import type { JsonValue } from "./json.ts";

export const DIFFERENCE_KINDS = [
  "status",
  "header",
  /** A member or element is missing in the endpoint's JSON. */
  "missing",
  /** The endpoint's JSON has one more member or element. */
  "extra",
  "type",
  "value",
  /** The same elements in another order. */
  "order",
  "text",
  "bytes",
] as const;
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

/** The most differences of one response; further ones are not looked for. */
export const DIFFERENCES_MAX = 100;

/** One side of a difference: a text or a JSON value; null: it is not there. */
export type Side = string | JsonValue | null;

export interface Difference {
  readonly kind: DifferenceKind;
  /** The place: a field's name in lower case, a JSON path (`items[].price`), or empty. */
  readonly where: string;
  /** The members' names on the way to a JSON value. */
  readonly names: readonly string[];
  readonly production: Side;
  readonly endpoint: Side;
}

/** Collects the differences of one response, each kind and place once. */
export class Differences {
  readonly all: Difference[] = [];
  private readonly known = new Set<string>();

  get isFull(): boolean {
    return this.all.length >= DIFFERENCES_MAX;
  }

  add(kind: DifferenceKind, where: string, names: readonly string[], production: Side, endpoint: Side): void {
    const key = keyOf(kind, where);
    if (this.known.has(key) || this.isFull) return;
    this.known.add(key);
    this.all.push({ kind, where, names, production, endpoint });
  }
}

/** A difference's key among those of a response: its kind and place. */
export function keyOf(kind: DifferenceKind, where: string): string {
  return `${kind} ${where}`;
}
