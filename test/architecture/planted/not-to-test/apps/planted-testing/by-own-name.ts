import * as testing from 'agentcom/testing';

export const suites = Object.keys(testing);
