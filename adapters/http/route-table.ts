/** Matches requests to routes. */

export interface RoutePath {
  readonly method: string;
  /** A segment that starts with `:` matches any text; others match exactly. */
  readonly path: string;
}

/** The matching route with the values of its parameters, or the routes on the same path for other methods. */
export type Found<R extends RoutePath> =
  { readonly route: R; readonly params: Readonly<Record<string, string>> } | { readonly route: null; readonly others: readonly R[] };

/** Returns a function that finds the first matching route. HEAD matches GET. */
export function routeTable<R extends RoutePath>(routes: readonly R[]): (method: string, path: string) => Found<R> {
  const rows = routes.map((route) => ({ route, segments: route.path.split('/') }));

  const search = (method: string, path: string): Found<R> => {
    const given = path.includes('%') ? path.split('/').map(decoded) : path.split('/');
    const wanted = method === 'HEAD' ? 'GET' : method;
    const row = rows.find(({ route, segments }) => route.method === wanted && fits(segments, given));
    if (row !== undefined) return { route: row.route, params: paramsOf(row.segments, given) };
    const other = rows.find(({ segments }) => fits(segments, given))?.route;
    return { route: null, others: routes.filter((route) => route.path === other?.path) };
  };

  /** The precomputed matches of paths without parameters, by path and method. */
  const known = new Map<string, Map<string, Found<R>>>();
  for (const { method, path } of routes) {
    if (path.includes('/:')) continue;
    const methods = known.get(path) ?? new Map<string, Found<R>>();
    known.set(path, methods.set(method, search(method, path)));
  }
  return (method, path) => known.get(path)?.get(method) ?? search(method, path);
}

const fits = (segments: readonly string[], given: readonly string[]): boolean =>
  segments.length === given.length &&
  segments.every((segment, at) => segment === given[at] || (segment.startsWith(':') && given[at] !== ''));

function paramsOf(segments: readonly string[], given: readonly string[]): Readonly<Record<string, string>> {
  const params: Record<string, string> = {};
  segments.forEach((segment, at) => {
    if (segment.startsWith(':')) params[segment.slice(1)] = given[at] ?? '';
  });
  return params;
}

const ENCODED = /(?:%[0-9a-f]{2})+/gi;

/** Percent-decoded. Bytes that are not UTF-8 stay encoded, and then match no resource. */
const decoded = (segment: string): string =>
  segment.replace(ENCODED, (bytes) => {
    try {
      return decodeURIComponent(bytes);
    } catch {
      return bytes;
    }
  });
