/** What one response has that another has not. */
import type { JsonValue } from "./json.ts";

export const DIFFERENCE_KINDS = [
  "status",
  "header",
  /** The endpoint's JSON lacks something. */
  "missing",
  /** The endpoint's JSON has something more. */
  "extra",
  "type",
  "value",
  /** The same elements in another order. */
  "order",
  "text",
  "bytes",
] as const;
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

/** Differences of one response that are told; what more there is is not looked for. */
export const DIFFERENCES_MAX = 100;

/** One side of a difference: a text, a JSON value, or null: it is not there. */
export type Side = string | JsonValue | null;

export interface Difference {
  readonly kind: DifferenceKind;
  /** A field's name in lower case, a JSON path (`items[].price`), or empty. */
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

/** What tells a difference from others of a response: its kind and place. */
export function keyOf(kind: DifferenceKind, where: string): string {
  return `${kind} ${where}`;
}
