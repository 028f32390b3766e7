/** The tables of who may do what, generated from the route table and the frame tables. */
import { ROUTE_DOCS } from '../../../adapters/http/openapi/route-docs.ts';
import { ROUTES, type Reach, type Route } from '../../../adapters/http/routes.ts';
import { ROLES, type Role } from '../../../core/ports/agent-store.ts';
import { HUB_FRAMES } from '../../../core/protocol/hub-frames.ts';
import { SIDECAR_FRAMES, type SidecarFrameRule } from '../../../core/protocol/sidecar-frames.ts';

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Each route, with what it needs and what each role reaches. */
export function routeTable(): string {
  const columns = ['Route', 'no token', ...ROLES, 'What it does'];
  const lines = ROUTES.map((route: Route & { readonly name: keyof typeof ROUTE_DOCS }) => {
    const { method, path, roles, ownPage } = route;
    const open = roles !== 'open' ? '' : ownPage === true ? 'own page' : 'open';
    const reach = (role: Role): string => (roles === 'open' ? open : ((roles[role] satisfies Reach | undefined) ?? ''));
    return row(`\`${method} ${path}\``, open, ...ROLES.map(reach), ROUTE_DOCS[route.name].summary);
  });
  return [row(...columns), row(...columns.map(() => '---')), ...lines].join('\n');
}

/** Each frame of either side, with when it may be sent. */
export function frameTable(): string {
  const fromSidecar = Object.entries(SIDECAR_FRAMES as Readonly<Record<string, SidecarFrameRule>>).map(([type, { first, identified }]) =>
    row(`\`${type}\``, first ? 'yes' : '', ...([1, 2] as const).map((version) => (identified.includes(version) ? 'yes' : ''))),
  );
  const fromHub = Object.entries(HUB_FRAMES).map(([type, phases]) =>
    row(`\`${type}\``, ...(['greeting', 'identifying', 'identified'] as const).map((phase) => (phases.includes(phase) ? 'yes' : ''))),
  );
  return [
    row('from the sidecar', 'before identify', 'identified, version 1', 'identified, version 2'),
    row('---', '---', '---', '---'),
    ...fromSidecar,
    '',
    row('from the hub', 'after `hello`', 'after `identify`', 'identified'),
    row('---', '---', '---', '---'),
    ...fromHub,
  ].join('\n');
}
