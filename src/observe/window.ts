/** The values of counters at the last looks, a second apart: shares and rises are computed over this window. */

/** How many looks are in the window. */
export const WINDOW_LOOKS = 60;

export class Window<Marks extends Readonly<Record<string, number>>> {
  private readonly marks: Marks[] = [];

  get last(): Marks | undefined {
    return this.marks.at(-1);
  }

  add(marks: Marks): void {
    this.marks.push(marks);
    if (this.marks.length > WINDOW_LOOKS + 1) this.marks.shift();
  }

  /** How much a counter rose within the window. */
  rise(name: keyof Marks): number {
    return this.marks.at(-1)![name]! - this.marks[0]![name]!;
  }
}
