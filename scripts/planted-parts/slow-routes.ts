/** The routes of scripts/planted --slow: the endpoint is slower on one route in ten, by each of the delays. */
export const DELAYS_MS = [5, 50, 500];
const ROUTES_OF_EACH = 10;
export const ROUTES = Array.from({ length: DELAYS_MS.length * ROUTES_OF_EACH }, (_, i) => `/r${i}`);

/** The additional delay of the endpoint on a route. */
export function delayOf(route: string): number {
  const place = ROUTES.indexOf(route);
  return place % ROUTES_OF_EACH === 0 ? DELAYS_MS[place / ROUTES_OF_EACH]! : 0;
}
