/** Property lists for launchd (macOS), of a user or of the system. */
import { join } from 'node:path/posix';
import { escapedForXml, WRITTEN_BY, type Installer, type ServicePlan, type ServiceUnit } from './service-plan.ts';

export function launchdUnit(plan: ServicePlan, installer: Installer): ServiceUnit {
  const { runAs, name } = plan;
  const domain = runAs === null ? `gui/${installer.uid}` : 'system';
  const folder = runAs === null ? join(installer.home, 'Library', 'LaunchAgents') : '/Library/LaunchDaemons';
  const file = join(folder, `${name}.plist`);
  const print = ['launchctl', 'print', `${domain}/${name}`] as const;
  const log = join(plan.dataDir, `${plan.part}.log`);
  return {
    file,
    text: listText(plan, log),
    encoding: 'utf8',
    // Root cannot make it for another user.
    folders: runAs === null ? [] : [plan.dataDir],
    logFolder: runAs === null ? plan.dataDir : null,
    // A service that is loaded cannot be bootstrapped again, and `bootout` may return while it is still stopping.
    stop: ['launchctl', 'bootout', `${domain}/${name}`],
    isLoaded: print,
    install: [['launchctl', 'bootstrap', domain, file]],
    uninstall: [],
    afterUninstall: [],
    status: print,
    notes: [`Its log: ${log} (launchd does not rotate it: see newsyslog)`],
  };
}

const text = (value: string): string => `<string>${escapedForXml(value)}</string>`;
const key = (name: string, value: string): string => `  <key>${name}</key>\n  ${value}`;

const listText = (plan: ServicePlan, log: string): string => `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- ${WRITTEN_BY} -->
<plist version="1.0">
<dict>
${[
  key('Label', text(plan.name)),
  key('ProgramArguments', `<array>${plan.argv.map(text).join('')}</array>`),
  key('WorkingDirectory', text(plan.folder)),
  key(
    'EnvironmentVariables',
    `<dict>${Object.entries(plan.environment)
      .map(([name, value]) => `<key>${escapedForXml(name)}</key>${text(value)}`)
      .join('')}</dict>`,
  ),
  key('RunAtLoad', '<true/>'),
  // It is restarted unless it was stopped.
  key('KeepAlive', '<dict><key>SuccessfulExit</key><false/></dict>'),
  key('ThrottleInterval', '<integer>5</integer>'),
  key('ExitTimeOut', '<integer>20</integer>'),
  // Agents outlive their sidecar, which finds them again.
  ...(plan.part === 'sidecar' ? [key('AbandonProcessGroup', '<true/>')] : [key('Umask', '<integer>63</integer>')]),
  ...(plan.runAs === null ? [] : [key('UserName', text(plan.runAs))]),
  key('StandardOutPath', text(log)),
  key('StandardErrorPath', text(log)),
].join('\n')}
</dict>
</plist>
`;
