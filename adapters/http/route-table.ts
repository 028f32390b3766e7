/** Finds the route of a request. */

export interface RoutePath {
  readonly method: string;
  /** Steps that begin with `:` take any text; the others are as they stand. */
  readonly path: string;
}

/** What a path leads to: a route with what stands in the place of its names, or the routes that there are for other methods. */
export type Found<R extends RoutePath> =
  { readonly route: R; readonly params: Readonly<Record<string, string>> } | { readonly route: null; readonly others: readonly R[] };

/** The first of these routes that fits answers. HEAD goes where GET goes. */
export function routeTable<R extends RoutePath>(routes: readonly R[]): (method: string, path: string) => Found<R> {
  const rows = routes.map((route) => ({ route, steps: route.path.split('/') }));

  return (method, path) => {
    const given = path.includes('%') ? path.split('/').map(decoded) : path.split('/');
    const wanted = method === 'HEAD' ? 'GET' : method;
    const row = rows.find(({ route, steps }) => route.method === wanted && fits(steps, given));
    if (row !== undefined) return { route: row.route, params: paramsOf(row.steps, given) };
    const other = rows.find(({ steps }) => fits(steps, given))?.route;
    return { route: null, others: routes.filter((route) => route.path === other?.path) };
  };
}

const fits = (steps: readonly string[], given: readonly string[]): boolean =>
  steps.length === given.length && steps.every((step, at) => step === given[at] || (step.startsWith(':') && given[at] !== ''));

function paramsOf(steps: readonly string[], given: readonly string[]): Readonly<Record<string, string>> {
  const params: Record<string, string> = {};
  steps.forEach((step, at) => {
    if (step.startsWith(':')) params[step.slice(1)] = given[at] ?? '';
  });
  return params;
}

const ENCODED = /(?:%[0-9a-f]{2})+/gi;

/** Without its percent-encoding; what is no UTF-8 stays as it was sent, and then names nothing. */
const decoded = (step: string): string =>
  step.replace(ENCODED, (bytes) => {
    try {
      return decodeURIComponent(bytes);
    } catch {
      return bytes;
    }
  });
