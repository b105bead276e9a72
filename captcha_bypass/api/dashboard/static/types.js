/**
 * What the service sends, see docs/dashboard.md. All times are seconds, of the epoch where they are moments.
 *
 * @typedef {"pending" | "running" | "waiting_for_human" | "completed" | "error"} TaskState
 *
 * @typedef {object} Task
 * @property {string} id
 * @property {string} host
 * @property {TaskState} state
 * @property {string | null} outcome completed, timeout, cancelled or an error code
 * @property {string | null} vendor
 * @property {string | null} kind
 * @property {string | null} why
 * @property {number | null} came_at
 * @property {number | null} started_at
 * @property {number | null} ended_at
 * @property {number | null} seconds
 * @property {boolean} evidence
 * @property {boolean} kept whether there is a result or evidence to delete, or a task to cancel
 *
 * @typedef {object} PageDocument
 * @property {number} at seconds since the task started
 * @property {number | null} status
 * @property {string} url
 * @property {string | null} vendor
 * @property {string | null} kind
 *
 * @typedef {object} Waiting
 * @property {number} since
 * @property {number} until
 * @property {number} watchers
 * @property {boolean} controlled
 *
 * @typedef {object} Details
 * @property {Record<string, unknown>} [asked]
 * @property {PageDocument[]} [documents]
 * @property {string[] | null} [unmet]
 * @property {{code: string, message: string, value: string | string[] | null}[] | null} [hints]
 * @property {Record<string, number> | null} [failed_requests]
 * @property {{code: string, message: string} | null} [error]
 * @property {number | null} [status_code]
 * @property {string | null} [url]
 * @property {string | null} [title]
 * @property {Waiting | null} [waiting]
 *
 * @typedef {Omit<Task, "evidence"> & Details & {evidence: {html_bytes: number, jpeg_bytes: number} | null}} TaskPage
 *
 * @typedef {object} Minute
 * @property {number} at when it began
 * @property {Record<string, number>} outcomes
 * @property {number | null} p50
 * @property {number | null} p95
 *
 * @typedef {object} Browser
 * @property {number} age
 * @property {number} tasks
 * @property {number} served
 * @property {number} bytes
 * @property {number} sessions
 *
 * @typedef {object} Node
 * @property {string} name
 * @property {number} slots
 * @property {number} running
 * @property {number} waiting_for_human
 *
 * @typedef {object} Status
 * @property {number} now
 * @property {string} version
 * @property {"ok" | "starting" | "unavailable" | "stopping"} state
 * @property {string | null} reason
 * @property {string} browser
 * @property {string | null} warning
 * @property {{queued: number, running: number, slots: number, waiting_for_human: number, oldest: number | null}} tasks
 * @property {Browser[]} browsers
 * @property {Node[]} nodes all that share the queue; empty: it is this service's own
 * @property {number} starting
 * @property {Record<string, number>} restarts
 * @property {{name: string, idle: number | null}[]} sessions
 * @property {{site: string, idle: number | null}[]} sites
 * @property {number} fetches
 * @property {{failures: Record<string, number>, bytes_sent: number, bytes_received: number, connections: number}} egress
 *
 * @typedef {object} TaskBatch
 * @property {boolean} reset
 * @property {Task[]} tasks
 * @property {string[]} removed
 *
 * @typedef {{authenticated: boolean, needs_key: boolean, version: string}} Session
 */

export {};
