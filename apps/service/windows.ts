/** Tasks for the Task Scheduler of Windows. */
import { join } from 'node:path/win32';
import { escapedForXml, WRITTEN_BY, type ServicePlan, type ServiceUnit } from './service-plan.ts';

export function windowsTask(plan: ServicePlan): ServiceUnit {
  const { name } = plan;
  const file = join(plan.dataDir, `${name}.xml`);
  return {
    file,
    text: `\uFEFF${taskText(plan)}`,
    encoding: 'utf16le',
    folders: [],
    logFolder: null,
    // A task that is running keeps the program that it was started with, and is not started a second time.
    stop: ['schtasks', '/End', '/TN', name],
    isLoaded: null,
    install: [
      ['schtasks', '/Create', '/TN', name, '/XML', file, '/F'],
      ['schtasks', '/Run', '/TN', name],
    ],
    uninstall: [['schtasks', '/Delete', '/TN', name, '/F']],
    afterUninstall: [],
    status: ['schtasks', '/Query', '/TN', name, '/V', '/FO', 'LIST'],
    notes: ['It starts when you log on. The Task Scheduler keeps no output: "agentcom doctor" and the dashboard show its state.'],
  };
}

/** A task has no environment of its own, so its program gets that of its user. */
const taskText = (plan: ServicePlan): string => `<?xml version="1.0" encoding="UTF-16"?>
<!-- ${WRITTEN_BY} -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>${escapedForXml(plan.description)}</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions>
    <Exec>
      <Command>${escapedForXml(plan.argv[0] ?? '')}</Command>
      <Arguments>${escapedForXml(plan.argv.slice(1).map(quoted).join(' '))}</Arguments>
      <WorkingDirectory>${escapedForXml(plan.folder)}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
`;

/** Quoted as Windows programs parse their command line: backslashes count only before a quote. */
const quoted = (argument: string): string => `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
