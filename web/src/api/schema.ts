// Made by `npm run types` from crates/api/openapi.json. Not to be edited.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A change of status that has begun. */
        Accepted: {
            /**
             * Format: int64
             * @description Journal position of the event that announces it.
             */
            position: number;
            status: components["schemas"]["TopologyStatus"];
            topology_id: components["schemas"]["Id"];
        };
        /** @description How to activate a goal. */
        ActivateGoal: {
            /** @description Whether to retire the goal that is active; without it that one is in the way. */
            replace?: boolean;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description One thing that a visitor did. */
        Activity: {
            at: components["schemas"]["Moment"];
            /** Format: int32 */
            index: number;
            kind: components["schemas"]["ActivityKind"];
            /** @description Escaped and capped; secrets masked. Show it as text only. */
            text: string;
        };
        /** @enum {string} */
        ActivityKind: "login" | "command" | "request" | "upload";
        /** @enum {string} */
        Archetype: "linux-server" | "web-server" | "database-server" | "file-server" | "devops-host" | "printer" | "monitoring-node";
        /** @description One source address, as seen. */
        Attacker: {
            address: string;
            attacker_id: components["schemas"]["Id"];
            /** Format: int64 */
            commands: number;
            deckies: components["schemas"]["Id"][];
            /** Format: int64 */
            downloads: number;
            /** @description `kind=value`. */
            fingerprints: string[];
            first_seen: components["schemas"]["Moment"];
            identity_id: components["schemas"]["Id"];
            lans: components["schemas"]["Id"][];
            last_seen: components["schemas"]["Moment"];
            level: components["schemas"]["ScoreLevel"];
            /** Format: int64 */
            logins: number;
            /** Format: int64 */
            logins_accepted: number;
            /** @description What adds up to the score. */
            reasons: string[];
            /** Format: int64 */
            requests: number;
            /**
             * Format: int32
             * @description 0 to 100.
             */
            score: number;
            services: components["schemas"]["Service"][];
            /** Format: int64 */
            sessions: number;
            /** Format: int64 */
            uploads: number;
        };
        /** @description `snapshot` of the attackers' stream. */
        AttackersSnapshot: {
            /** @description The newest 50. */
            attackers: components["schemas"]["Attacker"][];
            /** @description Where `/attackers` goes on. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Journal position at which this was true.
             */
            seq: number;
            /** Format: int64 */
            total: number;
            /** Format: int32 */
            v: number;
        };
        /** @description Which version a thing must have. */
        AtVersion: {
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description Whether the audit log is whole. */
        AuditCheck: {
            /**
             * Format: int64
             * @description The first record that does not fit.
             */
            broken_at: number | null;
            /**
             * Format: int64
             * @description How many records fit.
             */
            entries: number;
            intact: boolean;
        };
        /** @description A record of the audit log. */
        AuditEntry: {
            action: string;
            actor: string;
            address: string | null;
            at: components["schemas"]["Moment"];
            detail: string | null;
            /** @description SHA-256 over the hash before and this record. */
            hash: string;
            object: string;
            outcome: string;
            /** Format: int64 */
            seq: number;
        };
        /** @description How the bus fares. */
        BusView: {
            /** Format: int64 */
            delivered: number;
            /** Format: int64 */
            dropped: number;
            name: string;
            /** Format: int64 */
            published: number;
            /** Format: int64 */
            reconnects: number;
            /** Format: int64 */
            skipped: number;
            /** @description `off`, `embedded`, `idle`, `connecting`, `connected`, `waiting` or `closed`. */
            state: string;
            /** Format: int64 */
            subscribers: number;
        };
        /**
         * @description What to change about the words and the place of a decision; what is absent stays, `null`
         *     takes away.
         */
        ChangeDecision: {
            description?: string;
            title?: string;
            /** @description Id, beginning of an id, or slug. */
            topic?: string | null;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
            /** @description Id, beginning of an id, or slug. */
            workstream?: string | null;
        };
        /** @description What to change about a domain; what is absent stays. */
        ChangeDomain: {
            description?: string;
            slug?: string;
            title?: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What to change about the words of a goal; what is absent stays. */
        ChangeGoal: {
            description?: string;
            title?: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What to change about a repository; what is absent stays, `null` takes away. */
        ChangeRepo: {
            description?: string;
            /** @description Id, beginning of an id, or slug. */
            domain?: string;
            local_path?: string | null;
            remote_url?: string | null;
            slug?: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What to change about a task; what is absent stays. */
        ChangeTask: {
            description?: string;
            /** @description The state to move to. */
            state?: components["schemas"]["TaskState"];
            title?: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What to change about a topic; what is absent stays. */
        ChangeTopic: {
            description?: string;
            /** @description Id, beginning of an id, or slug. */
            domain?: string;
            slug?: string;
            title?: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What to change about a user; what is absent stays. Every change ends the user's logins. */
        ChangeUser: {
            disabled?: boolean | null;
            password?: string | null;
            role?: components["schemas"]["Role"] | null;
        };
        /** @description What to change about a workstream; what is absent stays, `null` takes away. */
        ChangeWorkstream: {
            description?: string;
            /** @description Id, beginning of an id, or slug. */
            repo?: string | null;
            /** @description Id, or beginning of an id. */
            repo_goal?: string | null;
            slug?: string;
            /** @description The state to move to. */
            state?: components["schemas"]["WorkstreamState"];
            title?: string;
            /** @description Id, beginning of an id, or slug. */
            topic?: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /**
         * @description A decision to create. `pending` ones are open; `made` ones are resolved from the start, need
         *     `rationale` and `decided_by`, and publish nothing, since nothing happens now.
         */
        CreateDecision: {
            /** @description By whom; of `made` ones. */
            decided_by?: string | null;
            /** @description At most 16 KiB. */
            description?: string | null;
            /** @description How and why it was decided; of `made` ones. */
            rationale?: string | null;
            /** @description What is to be decided. */
            title: string;
            /** @description Id, beginning of an id, or slug. */
            topic?: string | null;
            type?: components["schemas"]["DecisionType"] | null;
            /** @description Id, beginning of an id, or slug. */
            workstream?: string | null;
        };
        /** @description A domain to create. */
        CreateDomain: {
            /** @description At most 16 KiB. */
            description?: string | null;
            /** @description A short name that no other domain has. */
            slug: string;
            title: string;
        };
        /** @description A goal to create, as a draft. */
        CreateGoal: {
            /** @description At most 16 KiB. */
            description?: string | null;
            /** @description Id, beginning of an id, or slug. */
            domain: string;
            title: string;
        };
        /** @description A repository to register. */
        CreateRepo: {
            /** @description At most 16 KiB. */
            description?: string | null;
            /** @description Id, beginning of an id, or slug. */
            domain: string;
            /** @description Where it is checked out. */
            local_path?: string | null;
            /** @description Where it is fetched from; without a password, since it is published. */
            remote_url?: string | null;
            /** @description A short name that no other repository has. */
            slug: string;
        };
        /** @description A task to create. */
        CreateTask: {
            /** @description At most 16 KiB. */
            description?: string | null;
            state?: components["schemas"]["TaskState"] | null;
            title: string;
            /** @description Id, beginning of an id, or slug; not one that is finished or archived. */
            workstream: string;
        };
        /** @description A token to make. */
        CreateToken: {
            /**
             * Format: int32
             * @description Days until it ends, 1 to 366; 90 where absent.
             */
            expires_in_days?: number | null;
            /** @description What it is for. */
            name: string;
            role?: components["schemas"]["Role"] | null;
            /** @description Whose it is, by name; one's own where absent. Only on the UNIX socket, and there needed. */
            user?: string | null;
        };
        /** @description A topic to create. */
        CreateTopic: {
            /** @description At most 16 KiB. */
            description?: string | null;
            /** @description Id, beginning of an id, or slug. */
            domain: string;
            /** @description A short name that no other topic has. */
            slug: string;
            title: string;
        };
        /** @description A topology to create. */
        CreateTopology: {
            /** @description A lower-case DNS label that no other topology has. */
            name: string;
            /** @description What it begins with; nothing where absent. */
            template?: components["schemas"]["Template"];
        };
        /** @description A user to create. */
        CreateUser: {
            /** @description 1 to 64 letters, digits and `. _ - @`. */
            name: string;
            /** @description 8 to 128 characters, not a common one. */
            password: string;
            role: components["schemas"]["Role"];
        };
        /** @description A workstream to create. */
        CreateWorkstream: {
            /** @description At most 16 KiB. */
            description?: string | null;
            /** @description The repository that it works on: id, beginning of an id, or slug. */
            repo?: string | null;
            /** @description The goal that it serves: id, or beginning of an id. */
            repo_goal?: string | null;
            /** @description A short name that no other workstream has. */
            slug: string;
            state?: components["schemas"]["WorkstreamState"] | null;
            title: string;
            /** @description Id, beginning of an id, or slug. */
            topic: string;
        };
        /** @description A principal with a secret, as tried. */
        Credential: {
            credential_id: components["schemas"]["Id"];
            first_seen: components["schemas"]["Moment"];
            /** @description Keyed hash of principal and secret. */
            hash: string;
            kind: string;
            last_seen: components["schemas"]["Moment"];
            /** @description The user name, escaped. Show it as text only. */
            principal: string;
            /** @description Escaped; absent for everyone but administrators. */
            secret: string | null;
            /** Format: int64 */
            tries: number;
        };
        /** @description An entry that a sink refused for good. */
        DeadLetter: {
            /** Format: int32 */
            attempts: number;
            buried_at: components["schemas"]["Moment"];
            /** Format: int64 */
            id: number;
            /** @description What it says. */
            payload: Record<string, unknown>;
            /** @description Why it was refused. */
            reason: string;
            /** @description Whether it waits to be delivered again. */
            retrying: boolean;
            /**
             * Format: int64
             * @description Its place in the journal.
             */
            seq: number | null;
            sink: string;
            topic: string;
            type: string;
        };
        /** @description Something that is, or was, to be decided. */
        Decision: components["schemas"]["Stamps"] & {
            decided_at: components["schemas"]["Moment"] | null;
            decided_by: string | null;
            decision_id: components["schemas"]["Id"];
            description: string;
            rationale: string | null;
            status: components["schemas"]["DecisionStatus"];
            superseded_by: components["schemas"]["Id"] | null;
            title: string;
            topic_id: components["schemas"]["Id"] | null;
            type: components["schemas"]["DecisionType"];
            workstream_id: components["schemas"]["Id"] | null;
        };
        /** @enum {string} */
        DecisionStatus: "open" | "escalated" | "resolved" | "superseded";
        /** @enum {string} */
        DecisionType: "pending" | "made";
        /** @description A decky. */
        Decky: {
            archetype: components["schemas"]["Archetype"];
            decky_id: components["schemas"]["Id"];
            /** @description Open services; empty where it is not deployed. */
            endpoints: components["schemas"]["Endpoint"][];
            /** @description Whether it is a gateway: routes between all of its LANs. */
            forwards_l3: boolean;
            /** @description The first is on its home LAN. */
            interfaces: components["schemas"]["Interface"][];
            /** @description Whether it is taken off the network for now. */
            is_stopped: boolean;
            name: string;
            next_rotation_at: components["schemas"]["Moment"] | null;
            position: components["schemas"]["Position"] | null;
            /** Format: int64 */
            rotate_every_seconds: number | null;
            rotated_at: components["schemas"]["Moment"];
            services: components["schemas"]["ServiceConfig"][];
            state: components["schemas"]["DeckyState"];
            /** @description Name of the topology. */
            topology: string;
            topology_id: components["schemas"]["Id"];
        };
        /** @description A decky of a document. */
        DeckyDocument: {
            /** @description `linux-server` where absent. */
            archetype?: string | null;
            forwards_l3?: boolean;
            /** @description The first is on its home LAN. */
            interfaces: components["schemas"]["InterfaceDocument"][];
            is_stopped?: boolean;
            name: string;
            position?: components["schemas"]["Place"] | null;
            /** Format: int64 */
            rotate_every_seconds?: number | null;
            /** @description The first of the archetype's pool where absent. */
            services?: components["schemas"]["ServiceDocument"][] | null;
        };
        /** @description What makes a machine the one that it is; what is absent stays. */
        DeckyPatch: {
            archetype?: components["schemas"]["Archetype"] | null;
            /** @description Whether it is a gateway: routes between all of its LANs. Its home is the DMZ then. */
            forwards_l3?: boolean | null;
        };
        /** @enum {string} */
        DeckyState: "planned" | "starting" | "running" | "degraded" | "stopped" | "failed" | "retired";
        /** @description `degraded`: whether events that are not journalled may be missing. */
        DegradedFrame: {
            degraded: boolean;
            reason: string;
            /** Format: int64 */
            seq: number;
            /** Format: int32 */
            v: number;
        };
        /** @description A field of work. */
        Domain: components["schemas"]["Stamps"] & {
            description: string;
            domain_id: components["schemas"]["Id"];
            slug: string;
            title: string;
        };
        /** @description What a domain aims at. */
        DomainGoal: components["schemas"]["Stamps"] & {
            description: string;
            domain_id: components["schemas"]["Id"];
            domain_slug: string;
            goal_id: components["schemas"]["Id"];
            state: components["schemas"]["GoalState"];
            title: string;
        };
        /** @description `stream-error` and `auth-revoked`: the stream ends. */
        EndFrame: {
            code: string;
            message: string;
            /** @description Whether connecting again may help. */
            retryable: boolean;
            /** Format: int64 */
            seq: number;
            /** Format: int32 */
            v: number;
        };
        /** @description Where a service really answers. */
        Endpoint: {
            lan_id: components["schemas"]["Id"];
            /** @description Address and port where it really answers. */
            listening: string;
            /**
             * Format: int32
             * @description The port that the persona shows.
             */
            port: number;
            service: components["schemas"]["Service"];
        };
        /** @description `snapshot` of the stream by filter, which has no state of its own. */
        EventsSnapshot: {
            filter: string[];
            /** Format: int64 */
            head: number;
            /**
             * Format: int64
             * @description Journal position after which the events begin.
             */
            seq: number;
            /** Format: int32 */
            v: number;
        };
        /** @description A type of lifecycle event. */
        EventType: {
            /** @description When it is sent. */
            meaning: string;
            /** @description Who sends it: the second token of the name. */
            producer: string;
            /** @description Where the schema of its `data` is. */
            schema: string;
            /** @description The value of `dataschema`. */
            schema_id: string;
            /** @description Its name, which is its NATS subject. */
            type: string;
        };
        /** @description All types of lifecycle events. */
        EventTypes: {
            /** @description Where the schema of the envelope around all of them is. */
            envelope: string;
            items: components["schemas"]["EventType"][];
        };
        /** @description What a field has wrong. */
        FieldError: {
            /** @description Stable. */
            code: string;
            /** @description Which field, such as `payload.subnet`. */
            field: string;
            /** @description For people. */
            message: string;
        };
        /** @description A maze to make from a seed: the same seed makes the same maze on any machine. */
        GenerateTopology: {
            /**
             * Format: int32
             * @description LANs behind each LAN; 2 where absent.
             */
            branching?: number | null;
            /**
             * Format: int32
             * @description How often the decky between two LANs routes, in percent; 50 where absent.
             */
            bridge_forward_percent?: number | null;
            /**
             * Format: int32
             * @description How often a LAN has a second way, in percent; 10 where absent.
             */
            cross_edge_percent?: number | null;
            /**
             * Format: int32
             * @description Most deckies of a LAN; 6 where absent.
             */
            deckies_max?: number | null;
            /**
             * Format: int32
             * @description Fewest deckies of a LAN; 2 where absent. There is always one.
             */
            deckies_min?: number | null;
            /**
             * Format: int32
             * @description Levels of LANs, the DMZ included; 3 where absent.
             */
            depth?: number | null;
            /** @description A lower-case DNS label that no other topology has. */
            name: string;
            /**
             * Format: int64
             * @description Decides everything that the rest leaves open; 0 where absent.
             */
            seed?: number;
        };
        /** @enum {string} */
        GoalState: "draft" | "active" | "achieved" | "retired";
        /** @description Whether the service answers. */
        HealthView: {
            /** @description `ok`, or `failing`. */
            status: string;
        };
        /** Format: uuid */
        Id: string;
        /** @description `snapshot` of the identities' stream. */
        IdentitiesSnapshot: {
            /** @description The newest 50. */
            identities: components["schemas"]["Identity"][];
            /** @description Where `/identities` goes on. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Journal position at which this was true.
             */
            seq: number;
            /** Format: int64 */
            total: number;
            /** Format: int32 */
            v: number;
        };
        /** @description One actor behind attackers. */
        Identity: {
            attacker_ids: components["schemas"]["Id"][];
            formed_at: components["schemas"]["Moment"];
            identity_id: components["schemas"]["Id"];
            last_seen: components["schemas"]["Moment"];
            level: components["schemas"]["ScoreLevel"];
            /**
             * Format: int32
             * @description The highest score among its attackers.
             */
            score: number;
        };
        /** @description An interface of a decky. */
        Interface: {
            address: string;
            /** @description Whether the decky routes between this LAN and its home. */
            forwards_l3: boolean;
            /** @description Name of the LAN. */
            lan: string;
            lan_id: components["schemas"]["Id"];
        };
        /** @description An interface of a document. */
        InterfaceDocument: {
            /** @description IPv4; allocated where absent. */
            address?: string | null;
            forwards_l3?: boolean;
            /** @description Name of the LAN. */
            lan: string;
        };
        /** @description A LAN. */
        Lan: {
            is_dmz: boolean;
            lan_id: components["schemas"]["Id"];
            name: string;
            position: components["schemas"]["Position"] | null;
            /** @description CIDR. */
            subnet: string;
        };
        /** @description A LAN of a document. */
        LanDocument: {
            is_dmz?: boolean;
            name: string;
            position?: components["schemas"]["Place"] | null;
            /** @description CIDR; allocated where absent. */
            subnet?: string | null;
        };
        /** @description What changes about a network; what is absent stays. */
        LanPatch: {
            /** @description Whether it faces the outside. Not of a live topology. */
            is_dmz?: boolean | null;
            /** @description Another name. */
            name?: string | null;
            position?: components["schemas"]["Place"] | null;
            /** @description CIDR; its deckies keep their places in it. Not of a live topology. */
            subnet?: string | null;
        };
        /** @description A live frame: one event. */
        LiveFrame: {
            id: components["schemas"]["Id"];
            payload: {
                [key: string]: unknown;
            };
            /**
             * Format: int64
             * @description Journal position; null on events that are not journalled.
             */
            seq: number | null;
            /** @description The subject. */
            topic: string;
            ts: components["schemas"]["Moment"];
            /** @description The kind of payload, such as `topology.mutation.applied`. */
            type: string;
            /** Format: int32 */
            v: number;
        };
        /** @description A login. */
        LoginRequest: {
            name: string;
            password: string;
        };
        /** @description Who one is. */
        Me: {
            name: string;
            role: components["schemas"]["Role"];
            until: components["schemas"]["Moment"] | null;
            user_id: components["schemas"]["Id"] | null;
        };
        /** Format: date-time */
        Moment: string;
        /** @description A queued change. */
        Mutation: {
            /**
             * Format: int32
             * @description How often it was claimed.
             */
            attempt: number;
            ended_at: components["schemas"]["Moment"] | null;
            mutation_id: components["schemas"]["Id"];
            /** @description What it does, such as `add_decky`. */
            op: string;
            /** @description The fields of the op. */
            payload: Record<string, unknown>;
            /**
             * Format: int64
             * @description Journal position of its `enqueued` event.
             */
            position: number;
            /** @description Why it failed. */
            reason: string | null;
            requested_at: components["schemas"]["Moment"];
            requested_by: string;
            state: components["schemas"]["MutationState"];
            topology_id: components["schemas"]["Id"];
            trigger: components["schemas"]["Trigger"];
            undone_by: components["schemas"]["Id"] | null;
            /**
             * Format: int64
             * @description The topology's version when it was queued; once applied, the one that it made.
             */
            version: number;
        };
        /** @description A change to queue. */
        MutationRequest: components["schemas"]["Op"] & {
            /**
             * Format: int64
             * @description Refuse where the topology has another version; the same as `If-Match`.
             */
            expected_version?: number | null;
        };
        /** @enum {string} */
        MutationState: "pending" | "applying" | "applied" | "failed";
        /** @description A new API token. The only time that it is shown. */
        NewToken: components["schemas"]["Token"] & {
            /** @description Goes as `Authorization: Bearer …`. */
            token: string;
        };
        /** @description What to note. */
        NoteProgress: {
            /** @description What happened; at most 16 KiB. */
            text: string;
        };
        /** @description A change to a topology. */
        Op: {
            /** @enum {string} */
            op: "add_lan";
            /** @description A new network. */
            payload: {
                /** @description Whether it faces the outside. */
                is_dmz?: boolean;
                /** @description Free in the topology. */
                name: string;
                position?: components["schemas"]["Place"] | null;
                /** @description CIDR; allocated where absent. */
                subnet?: string | null;
            };
        } | {
            /** @enum {string} */
            op: "remove_lan";
            /** @description Removes a network that is nobody's home. */
            payload: {
                /** @description Which. */
                name: string;
            };
        } | {
            /** @enum {string} */
            op: "update_lan";
            /** @description Changes a network; what is absent stays. */
            payload: {
                /** @description Which. */
                name: string;
                /** @description What changes. */
                patch: components["schemas"]["LanPatch"];
            };
        } | {
            /** @enum {string} */
            op: "add_decky";
            /** @description A new machine. */
            payload: {
                archetype?: components["schemas"]["Archetype"] | null;
                /** @description Whether it is a gateway: routes between all of its LANs. Its home is the DMZ then. */
                forwards_l3?: boolean;
                /** @description Allocated where absent. */
                ip?: string | null;
                /** @description Its home LAN. */
                lan: string;
                /** @description Free in the topology. */
                name: string;
                position?: components["schemas"]["Place"] | null;
                /**
                 * Format: int64
                 * @description Never rotated by schedule where absent.
                 */
                rotate_every_seconds?: number | null;
                /** @description The first of the archetype's pool where absent. */
                services?: components["schemas"]["Service"][] | null;
            };
        } | {
            /** @enum {string} */
            op: "remove_decky";
            /** @description Takes a machine away. */
            payload: {
                /** @description Which. */
                decky: string;
            };
        } | {
            /** @enum {string} */
            op: "attach_decky";
            /** @description One more interface. */
            payload: {
                /** @description Which machine. */
                decky: string;
                /** @description Whether the machine routes between this network and its home. */
                forwards_l3?: boolean;
                /** @description Allocated where absent. */
                ip?: string | null;
                /** @description On which network. */
                lan: string;
            };
        } | {
            /** @enum {string} */
            op: "detach_decky";
            /** @description One interface fewer. */
            payload: {
                /** @description Which machine. */
                decky: string;
                /** @description From which network; not its home. */
                lan: string;
            };
        } | {
            /** @enum {string} */
            op: "update_decky";
            /** @description Changes a machine; what is absent stays. */
            payload: {
                /** @description Which. */
                decky: string;
                /** @description Whether visitors may notice: needed for `patch` where the topology is live. */
                force?: boolean;
                patch?: components["schemas"]["DeckyPatch"] | null;
                position?: components["schemas"]["Place"] | null;
                /**
                 * Format: int64
                 * @description 0 means never.
                 */
                rotate_every_seconds?: number | null;
                services?: components["schemas"]["Service"][] | null;
            };
        } | {
            /** @enum {string} */
            op: "rotate_decky";
            /** @description Gives a machine other services of its archetype's pool. */
            payload: {
                /** @description Which. */
                decky: string;
                /** @description Picked where absent. */
                services?: components["schemas"]["Service"][] | null;
            };
        } | {
            /** @enum {string} */
            op: "start_decky";
            /** @description Brings a stopped machine back. */
            payload: {
                /** @description Which. */
                decky: string;
            };
        } | {
            /** @enum {string} */
            op: "stop_decky";
            /** @description Takes a machine off the network and keeps it in the topology. */
            payload: {
                /** @description Which. */
                decky: string;
            };
        } | {
            /** @enum {string} */
            op: "update_topology";
            /** @description Changes what holds for the whole topology. */
            payload: {
                /**
                 * Format: int64
                 * @description Of deckies without an interval of their own; 0 means never.
                 */
                rotate_every_seconds?: number | null;
            };
        } | {
            /** @enum {string} */
            op: "batch";
            /** @description Several changes that come to pass together or not at all. */
            payload: {
                /** @description In this order; none of them a batch. At most 1,000. */
                ops: components["schemas"]["Op"][];
            };
        };
        /** @description An order that is on its way. */
        Ordered: {
            action: string;
            worker: string;
        };
        /** @description A part of a list, newest first. */
        Page_Attacker: {
            items: {
                address: string;
                attacker_id: components["schemas"]["Id"];
                /** Format: int64 */
                commands: number;
                deckies: components["schemas"]["Id"][];
                /** Format: int64 */
                downloads: number;
                /** @description `kind=value`. */
                fingerprints: string[];
                first_seen: components["schemas"]["Moment"];
                identity_id: components["schemas"]["Id"];
                lans: components["schemas"]["Id"][];
                last_seen: components["schemas"]["Moment"];
                level: components["schemas"]["ScoreLevel"];
                /** Format: int64 */
                logins: number;
                /** Format: int64 */
                logins_accepted: number;
                /** @description What adds up to the score. */
                reasons: string[];
                /** Format: int64 */
                requests: number;
                /**
                 * Format: int32
                 * @description 0 to 100.
                 */
                score: number;
                services: components["schemas"]["Service"][];
                /** Format: int64 */
                sessions: number;
                /** Format: int64 */
                uploads: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_AuditEntry: {
            items: {
                action: string;
                actor: string;
                address: string | null;
                at: components["schemas"]["Moment"];
                detail: string | null;
                /** @description SHA-256 over the hash before and this record. */
                hash: string;
                object: string;
                outcome: string;
                /** Format: int64 */
                seq: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Credential: {
            items: {
                credential_id: components["schemas"]["Id"];
                first_seen: components["schemas"]["Moment"];
                /** @description Keyed hash of principal and secret. */
                hash: string;
                kind: string;
                last_seen: components["schemas"]["Moment"];
                /** @description The user name, escaped. Show it as text only. */
                principal: string;
                /** @description Escaped; absent for everyone but administrators. */
                secret: string | null;
                /** Format: int64 */
                tries: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_DeadLetter: {
            items: {
                /** Format: int32 */
                attempts: number;
                buried_at: components["schemas"]["Moment"];
                /** Format: int64 */
                id: number;
                /** @description What it says. */
                payload: Record<string, unknown>;
                /** @description Why it was refused. */
                reason: string;
                /** @description Whether it waits to be delivered again. */
                retrying: boolean;
                /**
                 * Format: int64
                 * @description Its place in the journal.
                 */
                seq: number | null;
                sink: string;
                topic: string;
                type: string;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Decision: {
            items: (components["schemas"]["Stamps"] & {
                decided_at: components["schemas"]["Moment"] | null;
                decided_by: string | null;
                decision_id: components["schemas"]["Id"];
                description: string;
                rationale: string | null;
                status: components["schemas"]["DecisionStatus"];
                superseded_by: components["schemas"]["Id"] | null;
                title: string;
                topic_id: components["schemas"]["Id"] | null;
                type: components["schemas"]["DecisionType"];
                workstream_id: components["schemas"]["Id"] | null;
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Decky: {
            items: {
                archetype: components["schemas"]["Archetype"];
                decky_id: components["schemas"]["Id"];
                /** @description Open services; empty where it is not deployed. */
                endpoints: components["schemas"]["Endpoint"][];
                /** @description Whether it is a gateway: routes between all of its LANs. */
                forwards_l3: boolean;
                /** @description The first is on its home LAN. */
                interfaces: components["schemas"]["Interface"][];
                /** @description Whether it is taken off the network for now. */
                is_stopped: boolean;
                name: string;
                next_rotation_at: components["schemas"]["Moment"] | null;
                position: components["schemas"]["Position"] | null;
                /** Format: int64 */
                rotate_every_seconds: number | null;
                rotated_at: components["schemas"]["Moment"];
                services: components["schemas"]["ServiceConfig"][];
                state: components["schemas"]["DeckyState"];
                /** @description Name of the topology. */
                topology: string;
                topology_id: components["schemas"]["Id"];
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Domain: {
            items: (components["schemas"]["Stamps"] & {
                description: string;
                domain_id: components["schemas"]["Id"];
                slug: string;
                title: string;
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_DomainGoal: {
            items: (components["schemas"]["Stamps"] & {
                description: string;
                domain_id: components["schemas"]["Id"];
                domain_slug: string;
                goal_id: components["schemas"]["Id"];
                state: components["schemas"]["GoalState"];
                title: string;
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Identity: {
            items: {
                attacker_ids: components["schemas"]["Id"][];
                formed_at: components["schemas"]["Moment"];
                identity_id: components["schemas"]["Id"];
                last_seen: components["schemas"]["Moment"];
                level: components["schemas"]["ScoreLevel"];
                /**
                 * Format: int32
                 * @description The highest score among its attackers.
                 */
                score: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Mutation: {
            items: {
                /**
                 * Format: int32
                 * @description How often it was claimed.
                 */
                attempt: number;
                ended_at: components["schemas"]["Moment"] | null;
                mutation_id: components["schemas"]["Id"];
                /** @description What it does, such as `add_decky`. */
                op: string;
                /** @description The fields of the op. */
                payload: Record<string, unknown>;
                /**
                 * Format: int64
                 * @description Journal position of its `enqueued` event.
                 */
                position: number;
                /** @description Why it failed. */
                reason: string | null;
                requested_at: components["schemas"]["Moment"];
                requested_by: string;
                state: components["schemas"]["MutationState"];
                topology_id: components["schemas"]["Id"];
                trigger: components["schemas"]["Trigger"];
                undone_by: components["schemas"]["Id"] | null;
                /**
                 * Format: int64
                 * @description The topology's version when it was queued; once applied, the one that it made.
                 */
                version: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_ProgressEntry: {
            items: {
                at: components["schemas"]["Moment"];
                author: string;
                progress_id: components["schemas"]["Id"];
                task_id: components["schemas"]["Id"] | null;
                text: string;
                workstream_id: components["schemas"]["Id"];
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Repo: {
            items: (components["schemas"]["Stamps"] & {
                description: string;
                domain_id: components["schemas"]["Id"];
                domain_slug: string;
                local_path: string | null;
                remote_url: string | null;
                repo_id: components["schemas"]["Id"];
                slug: string;
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Session: {
            items: {
                attacker_id: components["schemas"]["Id"];
                /** Format: int64 */
                bytes_in: number;
                /** Format: int64 */
                bytes_out: number;
                /** Format: int32 */
                commands: number;
                decky_id: components["schemas"]["Id"];
                ended_at: components["schemas"]["Moment"] | null;
                lan_id: components["schemas"]["Id"];
                /** Format: int32 */
                logins: number;
                /** @description The visitor's address and port. */
                peer: string;
                /** Format: int32 */
                requests: number;
                service: components["schemas"]["Service"];
                session_id: components["schemas"]["Id"];
                started_at: components["schemas"]["Moment"];
                topology_id: components["schemas"]["Id"];
                truncated: components["schemas"]["Truncation"] | null;
                /** Format: int32 */
                uploads: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Task: {
            items: (components["schemas"]["Stamps"] & {
                description: string;
                state: components["schemas"]["TaskState"];
                task_id: components["schemas"]["Id"];
                title: string;
                workstream_id: components["schemas"]["Id"];
                workstream_slug: string;
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Token: {
            items: {
                created_at: components["schemas"]["Moment"];
                expires_at: components["schemas"]["Moment"] | null;
                name: string;
                role: components["schemas"]["Role"];
                token_id: components["schemas"]["Id"];
                user_id: components["schemas"]["Id"];
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Topic: {
            items: (components["schemas"]["Stamps"] & {
                description: string;
                domain_id: components["schemas"]["Id"];
                domain_slug: string;
                slug: string;
                title: string;
                topic_id: components["schemas"]["Id"];
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_TopologySummary: {
            items: {
                created_at: components["schemas"]["Moment"];
                created_by: string;
                decky_count: number;
                lan_count: number;
                name: string;
                /** @description Why it has this status. */
                reason: string | null;
                /**
                 * Format: int64
                 * @description Between scheduled rotations of deckies without an interval of their own.
                 */
                rotate_every_seconds: number | null;
                status: components["schemas"]["TopologyStatus"];
                status_changed_at: components["schemas"]["Moment"];
                topology_id: components["schemas"]["Id"];
                /**
                 * Format: int64
                 * @description Counts changes; also the ETag.
                 */
                version: number;
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_User: {
            items: {
                created_at: components["schemas"]["Moment"];
                disabled: boolean;
                name: string;
                role: components["schemas"]["Role"];
                user_id: components["schemas"]["Id"];
            }[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description A part of a list, newest first. */
        Page_Workstream: {
            items: (components["schemas"]["Stamps"] & {
                description: string;
                /** @description When it, one of its tasks or its progress last changed. */
                last_activity_at: components["schemas"]["Moment"];
                repo_goal_id: components["schemas"]["Id"] | null;
                repo_id: components["schemas"]["Id"] | null;
                sign: components["schemas"]["WorkstreamSign"] | null;
                slug: string;
                state: components["schemas"]["WorkstreamState"];
                /**
                 * Format: int64
                 * @description All of its tasks.
                 */
                tasks: number;
                /**
                 * Format: int64
                 * @description Tasks that are open.
                 */
                tasks_open: number;
                title: string;
                topic_id: components["schemas"]["Id"];
                topic_slug: string;
                workstream_id: components["schemas"]["Id"];
            })[];
            /** @description Where the next page begins; absent at the end. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Rows of the whole list, where they are counted.
             */
            total?: number | null;
        };
        /** @description What the kill switch did. */
        Panic: {
            /**
             * Format: int64
             * @description Microseconds until nothing answered any more.
             */
            down_after_micros: number;
            /** @description What could not be removed, in words. Empty means that nothing is left on the network. */
            left: string[];
            /**
             * Format: int64
             * @description Microseconds until the database knew.
             */
            took_micros: number;
            /** @description The topologies that were deployed; empty where none was. */
            topologies: components["schemas"]["SwitchedOffView"][];
        };
        /** @description A new password for oneself. */
        PasswordRequest: {
            current: string;
            /** @description 8 to 128 characters, not a common one. */
            new: string;
        };
        /** @description Where the console draws something. */
        Place: {
            /** Format: int32 */
            x: number;
            /** Format: int32 */
            y: number;
        };
        /** @description What a change would do. */
        Plan: {
            /** @description LANs and deckies that come, change and go. */
            changes: string[];
            /** @description What it does, such as `add_decky`. */
            op: string;
            /** @description What would be done in the network, in order; nothing where the topology is not deployed. */
            steps: string[];
            /**
             * Format: int64
             * @description The version that it would make.
             */
            version: number;
        };
        /** @description Where the console draws something. */
        Position: {
            /** Format: int32 */
            x: number;
            /** Format: int32 */
            y: number;
        };
        /** @description Problem details (RFC 9457). */
        Problem: {
            /** @description The kind as a word; stable. */
            code: string;
            /** @description What is wrong with this request. */
            detail: string;
            /** @description Fields that are wrong. */
            errors?: components["schemas"]["FieldError"][];
            /** @description Names this request in the log. */
            request_id: string;
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
            /** @description The kind in words. */
            title: string;
            /** @description Names the kind of problem; stable. */
            type: string;
        };
        /** @description What somebody noted. */
        ProgressEntry: {
            at: components["schemas"]["Moment"];
            author: string;
            progress_id: components["schemas"]["Id"];
            task_id: components["schemas"]["Id"] | null;
            text: string;
            workstream_id: components["schemas"]["Id"];
        };
        /** @description All sinks. */
        Relay: {
            items: components["schemas"]["Sink"][];
            /**
             * Format: int64
             * @description The newest entry of the journal.
             */
            journal_head: number;
        };
        /** @description A registered repository. */
        Repo: components["schemas"]["Stamps"] & {
            description: string;
            domain_id: components["schemas"]["Id"];
            domain_slug: string;
            local_path: string | null;
            remote_url: string | null;
            repo_id: components["schemas"]["Id"];
            slug: string;
        };
        /** @description `reset`: what was known is to be thrown away; a snapshot follows. */
        ResetFrame: {
            /** @description `epoch_unknown`, `position_expired` or `lagged`. */
            reason: string;
            /** Format: int64 */
            seq: number;
            /** Format: int32 */
            v: number;
        };
        /** @description How a decision is resolved. */
        ResolveDecision: {
            /** @description By whom; the caller where absent. */
            decided_by?: string;
            /** @description How and why it was decided; at most 16 KiB. */
            rationale: string;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What to deliver again. */
        Retry: {
            /**
             * Format: int64
             * @description One dead letter; all of the sink where absent.
             */
            id?: number | null;
        };
        /** @description What will be delivered again. */
        Retrying: {
            /**
             * Format: int64
             * @description How many dead letters wait now that did not before.
             */
            retrying: number;
            sink: string;
        };
        /** @enum {string} */
        Role: "viewer" | "operator" | "admin" | "auditor";
        /** @description How to rotate. */
        Rotation: {
            /** @description The services it shall have; picked where absent. */
            services?: components["schemas"]["Service"][] | null;
        };
        /** @enum {string} */
        ScoreLevel: "low" | "medium" | "high" | "critical";
        /** @enum {string} */
        Service: "ssh" | "http" | "ftp" | "redis" | "snmp";
        /** @description A service of a decky. */
        ServiceConfig: {
            /** Format: int32 */
            port: number;
            service: components["schemas"]["Service"];
        };
        /** @description A service of a document: its name, or its name with its port. */
        ServiceDocument: string | {
            /**
             * Format: int32
             * @description Its own where absent.
             */
            port?: number | null;
            service: string;
        };
        /** @description One connection of a visitor. */
        Session: {
            attacker_id: components["schemas"]["Id"];
            /** Format: int64 */
            bytes_in: number;
            /** Format: int64 */
            bytes_out: number;
            /** Format: int32 */
            commands: number;
            decky_id: components["schemas"]["Id"];
            ended_at: components["schemas"]["Moment"] | null;
            lan_id: components["schemas"]["Id"];
            /** Format: int32 */
            logins: number;
            /** @description The visitor's address and port. */
            peer: string;
            /** Format: int32 */
            requests: number;
            service: components["schemas"]["Service"];
            session_id: components["schemas"]["Id"];
            started_at: components["schemas"]["Moment"];
            topology_id: components["schemas"]["Id"];
            truncated: components["schemas"]["Truncation"] | null;
            /** Format: int32 */
            uploads: number;
        };
        /** @description A session with what happened in it. */
        SessionDetail: components["schemas"]["Session"] & {
            activity: components["schemas"]["Activity"][];
        };
        /** @description The first administrator. */
        SetupRequest: {
            /** @description Log-in name. */
            name: string;
            /** @description 8 to 128 characters, not a common one. */
            password: string;
            /** @description As printed on the host. */
            secret: string;
        };
        /** @description Where the set-up stands. */
        SetupView: {
            /** @description Whether the first administrator is still to be created. */
            open: boolean;
        };
        /** @description A sink of the journal. */
        Sink: {
            /**
             * Format: int64
             * @description Entries of the journal after that.
             */
            behind: number;
            /**
             * Format: int64
             * @description Refused for good, and kept.
             */
            dead_letters: number;
            /**
             * Format: int64
             * @description Since the process began.
             */
            delivered: number;
            /**
             * Format: int64
             * @description How often it could not be reached since the process began.
             */
            failures: number;
            last_error: string | null;
            last_error_at: components["schemas"]["Moment"] | null;
            /**
             * Format: int64
             * @description Pruned from the journal before their turn came.
             */
            missed: number;
            /**
             * Format: int64
             * @description Everything up to here is delivered, not wanted, or a dead letter.
             */
            position: number;
            retry_at: components["schemas"]["Moment"] | null;
            sink: string;
            state: components["schemas"]["SinkState"];
        };
        /**
         * @description What a sink does.
         * @enum {string}
         */
        SinkState: "running" | "waiting" | "stopped";
        /** @description Version and times of a thing of the hub. */
        Stamps: {
            created_at: components["schemas"]["Moment"];
            updated_at: components["schemas"]["Moment"];
            /**
             * Format: int64
             * @description Counts its changes, from 1; a change may insist on it.
             */
            version: number;
        };
        /** @description How the service fares. */
        StatusView: {
            bus: components["schemas"]["BusView"];
            /** @description Names this life of the journal: the first part of a stream's event ids. */
            epoch: string;
            /** Format: int64 */
            journal_head: number;
            /** Format: int64 */
            journal_oldest: number;
            live_streams: number;
            now: components["schemas"]["Moment"];
            oldest_claim_at: components["schemas"]["Moment"] | null;
            /** Format: int64 */
            pending_mutations: number;
            started_at: components["schemas"]["Moment"];
            /** Format: int64 */
            store_bytes: number;
            store_queue: number;
            /** @description Version of the program. */
            version: string;
        };
        /** @description How a decision is superseded. */
        SupersedeDecision: {
            /** @description The decision that takes its place: id, or beginning of an id. */
            by?: string | null;
            /**
             * Format: int64
             * @description Refuse where it has another version.
             */
            version?: number;
        };
        /** @description What a sweep did, or would do. */
        Sweep: {
            /**
             * Format: int64
             * @description Tasks that were cancelled: all of them, or none where it was only looked.
             */
            cancelled: number;
            dry_run: boolean;
            /**
             * Format: int64
             * @description Journal position of the event that sums it up.
             */
            position: number | null;
            /**
             * Format: int64
             * @description Tasks that were stale.
             */
            stale: number;
            swept_at: components["schemas"]["Moment"] | null;
            /** @description Which, the newest first; 1,000 at most. */
            task_ids: components["schemas"]["Id"][];
            /** @description Whether there were more than `task_ids` lists. */
            truncated: boolean;
        };
        /** @description How to sweep. */
        SweepStale: {
            /** @description Only say what would be cancelled. */
            dry_run?: boolean;
        };
        /** @description A topology that is off the network now. */
        SwitchedOffView: {
            /** @description How many deckies it has. */
            decky_count: number;
            /** @description Its status before. */
            from: components["schemas"]["TopologyStatus"];
            name: string;
            /** @description Its status now: `pending`, or `torn_down` where it was being torn down. */
            status: components["schemas"]["TopologyStatus"];
            topology_id: components["schemas"]["Id"];
        };
        /** @description A step of a workstream. */
        Task: components["schemas"]["Stamps"] & {
            description: string;
            state: components["schemas"]["TaskState"];
            task_id: components["schemas"]["Id"];
            title: string;
            workstream_id: components["schemas"]["Id"];
            workstream_slug: string;
        };
        /** @enum {string} */
        TaskState: "wait" | "todo" | "progress" | "done" | "cancel";
        /**
         * @description What a new topology begins with.
         * @enum {string}
         */
        Template: "empty" | "demo";
        /** @description A ticket. */
        TicketView: {
            expires_at: components["schemas"]["Moment"];
            /** @description Goes as `?token=` on the address of a live stream; good once. */
            ticket: string;
        };
        /** @description An API token, without its secret. */
        Token: {
            created_at: components["schemas"]["Moment"];
            expires_at: components["schemas"]["Moment"] | null;
            name: string;
            role: components["schemas"]["Role"];
            token_id: components["schemas"]["Id"];
            user_id: components["schemas"]["Id"];
        };
        /** @description A subject of work within a domain. */
        Topic: components["schemas"]["Stamps"] & {
            description: string;
            domain_id: components["schemas"]["Id"];
            domain_slug: string;
            slug: string;
            title: string;
            topic_id: components["schemas"]["Id"];
        };
        /** @description A topology. */
        Topology: components["schemas"]["TopologySummary"] & {
            deckies: components["schemas"]["Decky"][];
            lans: components["schemas"]["Lan"][];
        };
        /** @description A topology by names, without ids: what `export` writes and `import` reads. */
        TopologyDocument: {
            deckies: components["schemas"]["DeckyDocument"][];
            /**
             * Format: int32
             * @description 1.
             */
            format: number;
            lans: components["schemas"]["LanDocument"][];
            name: string;
            /**
             * Format: int64
             * @description Of deckies without an interval of their own.
             */
            rotate_every_seconds?: number | null;
        };
        /** @description `snapshot` of a topology's stream. */
        TopologySnapshot: {
            deckies: components["schemas"]["Decky"][];
            /** @description Pending and applying mutations, oldest first. */
            in_flight: components["schemas"]["Mutation"][];
            lans: components["schemas"]["Lan"][];
            name: string;
            reason: string | null;
            /**
             * Format: int64
             * @description Journal position at which this was true.
             */
            seq: number;
            status: components["schemas"]["TopologyStatus"];
            topology_id: components["schemas"]["Id"];
            /** Format: int32 */
            v: number;
            /** Format: int64 */
            version: number;
        };
        /** @enum {string} */
        TopologyStatus: "pending" | "deploying" | "active" | "degraded" | "failed" | "tearing_down" | "torn_down";
        /** @description A topology in a list. */
        TopologySummary: {
            created_at: components["schemas"]["Moment"];
            created_by: string;
            decky_count: number;
            lan_count: number;
            name: string;
            /** @description Why it has this status. */
            reason: string | null;
            /**
             * Format: int64
             * @description Between scheduled rotations of deckies without an interval of their own.
             */
            rotate_every_seconds: number | null;
            status: components["schemas"]["TopologyStatus"];
            status_changed_at: components["schemas"]["Moment"];
            topology_id: components["schemas"]["Id"];
            /**
             * Format: int64
             * @description Counts changes; also the ETag.
             */
            version: number;
        };
        /** @enum {string} */
        Trigger: "creation" | "scheduled" | "operator" | "activity" | "behavioural" | "retirement";
        /** @enum {string} */
        Truncation: "bytes" | "duration" | "idle" | "facts" | "panic" | "mutation" | "shutdown";
        /** @description What to take back. */
        UndoRequest: {
            /**
             * @description How many mutations, the last applied first: 1 to 100.
             * @default 1
             */
            count: number;
            /**
             * Format: int64
             * @description Refuse where the topology has another version; the same as `If-Match`.
             * @default null
             */
            expected_version: number | null;
            /**
             * @description Also where a rotation has changed the same thing since, or where a visitor would notice.
             * @default false
             */
            force: boolean;
        };
        /** @description A user of the control surface. */
        User: {
            created_at: components["schemas"]["Moment"];
            disabled: boolean;
            name: string;
            role: components["schemas"]["Role"];
            user_id: components["schemas"]["Id"];
        };
        /** @description What a topology is worth. */
        Validation: {
            /** @description Whether it can be deployed: it is valid, and something of it faces the outside. */
            deployable: boolean;
            /** @description Rules that are broken. */
            errors: components["schemas"]["FieldError"][];
            /** @description Whether it keeps every rule. */
            valid: boolean;
            /** @description What is allowed, but perhaps not meant. */
            warnings: string[];
        };
        /** @description A worker. */
        Worker: {
            can_stop: boolean;
            /** @description Its own counts, by name. */
            figures: {
                [key: string]: number;
            };
            heard_at: components["schemas"]["Moment"] | null;
            state: components["schemas"]["WorkerState"];
            /** @description Who had it stopped. */
            stopped_by: string | null;
            worker: string;
        };
        /** @description All workers. */
        Workers: {
            items: components["schemas"]["Worker"][];
        };
        /**
         * @description Whether a worker is alive.
         * @enum {string}
         */
        WorkerState: "ok" | "stale" | "unknown" | "stopped";
        /** @description A piece of work with an end. */
        Workstream: components["schemas"]["Stamps"] & {
            description: string;
            /** @description When it, one of its tasks or its progress last changed. */
            last_activity_at: components["schemas"]["Moment"];
            repo_goal_id: components["schemas"]["Id"] | null;
            repo_id: components["schemas"]["Id"] | null;
            sign: components["schemas"]["WorkstreamSign"] | null;
            slug: string;
            state: components["schemas"]["WorkstreamState"];
            /**
             * Format: int64
             * @description All of its tasks.
             */
            tasks: number;
            /**
             * Format: int64
             * @description Tasks that are open.
             */
            tasks_open: number;
            title: string;
            topic_id: components["schemas"]["Id"];
            topic_slug: string;
            workstream_id: components["schemas"]["Id"];
        };
        /** @enum {string} */
        WorkstreamSign: "needs_review" | "stalled";
        /** @enum {string} */
        WorkstreamState: "backlog" | "proposed" | "ready" | "active" | "finished" | "archived" | "blocked";
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
