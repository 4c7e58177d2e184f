/**
 * A few examples of many occurrences, each with the same chance: every occurrence draws a number, and those with the
 * highest numbers stay. Reservoirs of several threads are merged by the same rule.
 */

/** How many examples of one kind of difference are kept. */
export const EXAMPLES_MAX = 5;

export interface Drawn<T> {
  readonly draw: number;
  readonly item: T;
}

/** Whether an occurrence with this number is to be kept. */
export function isKept(reservoir: readonly Drawn<unknown>[], draw: number): boolean {
  return reservoir.length < EXAMPLES_MAX || draw > reservoir.at(-1)!.draw;
}

/** Keeps an occurrence, in place of the one with the lowest number. */
export function keep<T>(reservoir: Drawn<T>[], drawn: Drawn<T>): void {
  let place = reservoir.length;
  while (place > 0 && reservoir[place - 1]!.draw < drawn.draw) place--;
  reservoir.splice(place, 0, drawn);
  if (reservoir.length > EXAMPLES_MAX) reservoir.pop();
}
