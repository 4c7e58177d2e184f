/** The findings of --compare, beside the planted differences. */
import { PLANTS, type Plant } from "../../test/compare/world.ts";

/** The summary's `comparison`. */
export interface Found {
  readonly compared: number;
  readonly same: number;
  readonly different: number;
  readonly not_comparable: Readonly<Record<string, number>>;
  readonly routes: readonly {
    readonly path: string;
    readonly compared: number;
    readonly different: number;
    readonly differences: readonly { readonly kind: string; readonly where: string; readonly count: number }[];
  }[];
}

/** How many requests there are of each plant. */
export type Planted = Record<Plant, number>;

export const PLANT_NAMES = Object.keys(PLANTS) as Plant[];

export function countPlants(talks: readonly { readonly plant: Plant }[]): Planted {
  const planted = Object.fromEntries(PLANT_NAMES.map((plant) => [plant, 0])) as Planted;
  for (const { plant } of talks) planted[plant]++;
  return planted;
}

export const isPlanted = (plant: Plant): boolean => PLANTS[plant].length > 0;

/**
 * The wrong findings; empty: none. In the responses that were compared, each planted difference must be found, with its
 * kind and place, and no other. `isWhole`: no packet was lost on the way, so that all responses must be compared.
 */
export function faultsOf(planted: Planted, found: Found, isWhole: boolean): string[] {
  const requests = PLANT_NAMES.reduce((total, plant) => total + planted[plant], 0);
  const { compared, same, different, not_comparable: reasons, routes } = found;
  const faults: string[] = [];
  if (same + different !== compared) faults.push(`${same} same and ${different} different of ${compared} compared`);
  const sum = Object.values(reasons).reduce((total, count) => total + count, compared);
  if (sum > requests || (isWhole && sum !== requests)) faults.push(`${sum} of ${requests} requests have a verdict`);
  if (isWhole && compared !== requests) faults.push(`${compared} of ${requests} requests were compared`);
  for (const plant of PLANT_NAMES) {
    const own = routes.filter(({ path }) => path === `/${plant}/{}`);
    const seen = own.reduce((total, route) => total + route.compared, 0);
    const parted = own.reduce((total, route) => total + route.different, 0);
    if (seen > planted[plant]) faults.push(`${seen} of ${planted[plant]} requests were compared on /${plant}`);
    if (parted !== (isPlanted(plant) ? seen : 0)) faults.push(`${parted} of ${seen} responses differ on /${plant}`);
    const counts = new Map<string, number>();
    for (const { kind, where, count } of own.flatMap(({ differences }) => differences))
      counts.set(`${kind} ${where}`, (counts.get(`${kind} ${where}`) ?? 0) + count);
    for (const place of PLANTS[plant]) {
      if (counts.get(place) !== (seen === 0 ? undefined : seen))
        faults.push(`${place} was found ${counts.get(place)} times in ${seen} responses on /${plant}`);
      counts.delete(place);
    }
    for (const [place, count] of counts)
      faults.push(`${place} on /${plant} was found ${count} times, but was not planted`);
  }
  return faults;
}
