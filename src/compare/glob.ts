/** Patterns of --ignore: `*` stands for anything within a segment of a path, `**` for any number of segments. */

/** `separators`: what divides the segments. */
export function globPattern(glob: string, separators = "/"): RegExp {
  const source = glob.replace(/\*\*|\*|[\\^$.|?+()[\]{}]/g, (found) => {
    if (found === "**") return ".*";
    return found === "*" ? `[^${separators.replace(/[\]\\^-]/g, "\\$&")}]*` : `\\${found}`;
  });
  return new RegExp(`^${source}$`, "s");
}
