/** Units for systemd, of a user or of the system. */
import { join, relative } from 'node:path/posix';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { foldersOf, WRITTEN_BY, type Installer, type ServicePlan, type ServiceUnit } from './service-plan.ts';

/** A hub or sidecar stops within 10 s. */
const STOP_S = 20;
/** For the backup and the migration of a large store. */
const START_S = 900;
/** The event loop of a program that says nothing for this long is stuck. */
const WATCHDOG_S = 120;

export function systemdUnit(plan: ServicePlan, installer: Installer): ServiceUnit {
  const { runAs, name } = plan;
  const unit = `${name}.service`;
  const folder = runAs === null ? join(installer.configHome ?? join(installer.home, '.config'), 'systemd', 'user') : '/etc/systemd/system';
  const systemctl = (...args: string[]) => ['systemctl', ...(runAs === null ? ['--user'] : []), ...args] as [string, ...string[]];
  return {
    file: join(folder, unit),
    text: unitText(plan),
    encoding: 'utf8',
    folders: isConfined(plan) ? foldersOf(plan).filter((each) => `${relative(plan.folder, each)}/`.startsWith('../')) : [],
    logFolder: null,
    stop: null,
    isLoaded: null,
    install: [systemctl('daemon-reload'), systemctl('enable', unit), systemctl('restart', unit)],
    uninstall: [systemctl('disable', '--now', unit)],
    afterUninstall: [systemctl('daemon-reload')],
    status: systemctl('status', '--no-pager', '--lines=10', unit),
    notes: [
      `Its log: journalctl ${runAs === null ? '--user ' : ''}-u ${name} -f`,
      ...(runAs === null
        ? [`To start it with the machine, and keep it after you log out: loginctl enable-linger ${installer.userName}`]
        : []),
    ],
  };
}

/** A hub of the system writes nowhere but in its own folders. */
const isConfined = ({ part, runAs }: ServicePlan): boolean => part === 'hub' && runAs !== null;

function unitText(plan: ServicePlan): string {
  const { part, runAs } = plan;
  return [
    `# ${WRITTEN_BY}`,
    '[Unit]',
    `Description=${specifier(plan.description)}`,
    ...(runAs === null ? [] : ['Wants=network-online.target', 'After=network-online.target']),
    // A program that cannot run is restarted for as long as it takes, except after failures that need an operator.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=notify',
    // The program sends its notifications through systemd-notify.
    'NotifyAccess=all',
    `WatchdogSec=${WATCHDOG_S}`,
    `ExecStart=${plan.argv.map(argument).join(' ')}`,
    `WorkingDirectory=${wholeLine(plan.folder)}`,
    ...Object.entries(plan.environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    'Restart=on-failure',
    'RestartSec=5',
    'RestartPreventExitStatus=2 5',
    `TimeoutStartSec=${START_S}`,
    `TimeoutStopSec=${STOP_S}`,
    'LimitNOFILE=65536',
    ...(runAs === null ? [] : [`User=${specifier(runAs)}`]),
    ...(part === 'sidecar' ? SIDECAR : hubLines(plan)),
    '',
    '[Install]',
    `WantedBy=${runAs === null ? 'default.target' : 'multi-user.target'}`,
    '',
  ].join('\n');
}

/** Agents outlive their sidecar, which finds them again; an agent that runs out of memory does not end the sidecar. */
const SIDECAR = ['KillMode=process', 'OOMPolicy=continue'];

/** A hub starts no programs, and writes only where its config and its data are. No MemoryDenyWriteExecute: V8 writes machine code. */
const hubLines = (plan: ServicePlan): readonly string[] => [
  'NoNewPrivileges=yes',
  'UMask=0077',
  'LockPersonality=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
  'SystemCallArchitectures=native',
  // The rest needs private mounts, which not every user's service manager may make.
  ...(!isConfined(plan)
    ? []
    : [
        'ProtectSystem=strict',
        `ReadWritePaths=${quoted(plan.folder)} ${foldersOf(plan).map(writable).join(' ')}`,
        'PrivateTmp=yes',
        'PrivateDevices=yes',
        'ProtectClock=yes',
        'ProtectControlGroups=yes',
        'ProtectHostname=yes',
        'ProtectKernelLogs=yes',
        'ProtectKernelModules=yes',
        'ProtectKernelTunables=yes',
        'ProtectProc=invisible',
        'RestrictNamespaces=yes',
        'CapabilityBoundingSet=',
      ]),
];

/** The hub makes a missing folder itself if it may: without the minus, systemd would not start it, and say nothing in its log. */
const writable = (folder: string): string => quoted(`-${folder}`);

/** systemd reads `%` as the beginning of a specifier. */
const specifier = (text: string): string => text.replaceAll('%', '%%');

/** A setting that is one path to the end of its line, without quotes: a backslash at its end would join it with the next line. */
function wholeLine(folder: string): string {
  if (!/[\u0000-\u001f\u007f]|[\s\\]$/.test(folder)) return specifier(folder);
  throw new AgentcomError('AC_SERVICE', `systemd cannot start a service in the folder ${JSON.stringify(folder)}.`, {
    hint: 'Rename the folder: its path must not contain control characters or end with a space or a backslash.',
  });
}

/** A word of a setting. */
const quoted = (text: string): string => `"${specifier(text).replace(/[\\"]/g, '\\$&')}"`;

/** A word of a command line, where `$` would name a variable. */
const argument = (text: string): string => quoted(text).replaceAll('$', '$$$$');
