/** Patterns of --ignore: `*` stands for any text within a segment of a path, `**` for any number of segments. */

/** Compiles a pattern. `separators`: the characters between segments. */
export function globPattern(glob: string, separators = "/"): RegExp {
  const source = glob.replace(/\*\*|\*|[\\^$.|?+()[\]{}]/g, (found) => {
    if (found === "**") return ".*";
    return found === "*" ? `[^${separators.replace(/[\]\\^-]/g, "\\$&")}]*` : `\\${found}`;
  });
  return new RegExp(`^${source}$`, "s");
}
