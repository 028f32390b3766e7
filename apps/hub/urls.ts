export interface HubPort {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** Where a hub that listens on `host` is reached from its own machine. */
export function hubUrls({ host, port, isTls }: HubPort): { readonly ws: string; readonly api: string } {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const authority = `${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
  const secure = isTls ? 's' : '';
  return { ws: `ws${secure}://${authority}/ws`, api: `http${secure}://${authority}` };
}
