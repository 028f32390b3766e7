/** Where a hub that listens on `host` is reached from its own machine. */
export function hubUrls(host: string, port: number): { readonly ws: string; readonly api: string } {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const authority = `${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
  return { ws: `ws://${authority}/ws`, api: `http://${authority}` };
}
