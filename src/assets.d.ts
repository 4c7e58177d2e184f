/** Files that the executable embeds: the import gives their path. */
declare module "*.so" {
  const path: string;
  export default path;
}

declare module "*/LICENSE" {
  const path: string;
  export default path;
}

declare module "*/THIRD-PARTY-LICENSES.md" {
  const path: string;
  export default path;
}

declare module "*/licenses/bun.txt" {
  const path: string;
  export default path;
}
