//! The rows: code, what is found (severity and subject; nothing if empty), edits of the healthy cluster, added documents.

type Row = (u16, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const WEB_ERROR: &str = "error Service shop/web";
const WEB_WARN: &str = "warn Service shop/web";
const WEB_INFO: &str = "info Service shop/web";
const EXT_ERROR: &str = "error Service shop/ext";
const EXT_WARN: &str = "warn Service shop/ext";
const ALIAS_ERROR: &str = "error Service shop/alias";
const ALIAS_WARN: &str = "warn Service shop/alias";
const PROXY_INFO: &str = "info ProxyConfig kube-system/kube-proxy";

// Edits.
type Edit = (&'static str, &'static str);
const NO_SELECTOR: Edit = ("selector: {app: web}, ", "");
const WOB: Edit = ("selector: {app: web}", "selector: {app: wob}");
const HEADLESS: Edit = ("clusterIP: 10.96.1.5", "clusterIP: None");
const PUBLISH: Edit = ("type: ClusterIP", "type: ClusterIP, publishNotReadyAddresses: true");
const NODE_PORT: Edit = ("type: ClusterIP", "type: NodePort");
const BALANCER: Edit = ("type: ClusterIP", "type: LoadBalancer");
const UNREADY_A: Edit = (
    "10.244.0.5, conditions: [{type: Ready, status: \"True\"",
    "10.244.0.5, conditions: [{type: Ready, status: \"False\"",
);
const UNREADY_B: Edit = (
    "10.244.1.5, conditions: [{type: Ready, status: \"True\"",
    "10.244.1.5, conditions: [{type: Ready, status: \"False\"",
);
const UNREADY_C: Edit = (
    "10.244.2.5, conditions: [{type: Ready, status: \"True\"",
    "10.244.2.5, conditions: [{type: Ready, status: \"False\"",
);
const FINISHED_A: Edit = ("phase: Running, podIP: 10.244.0.5", "phase: Succeeded, podIP: 10.244.0.5");
const ALL_UNREADY: Edit =
    ("ready: true, serving: true, terminating: false", "ready: false, serving: false, terminating: false");
const ALL_DYING: Edit =
    ("ready: true, serving: true, terminating: false", "ready: false, serving: true, terminating: true");
const UDP: Edit = ("containerPort: 8080", "containerPort: 8080, protocol: UDP");
const UDP_A: Edit = (
    "nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080",
    "nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080, protocol: UDP",
);
const RENAMED_A: Edit = (
    "nodeName: node-a, containers: [{name: web, ports: [{name: http",
    "nodeName: node-a, containers: [{name: web, ports: [{name: www",
);
const OTHER_NUMBER_A: Edit = (
    "nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080",
    "nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8081",
);
/// The endpoint of node-c is on node-a instead.
const C_TO_A: Edit = ("nodeName: node-c, zone: z3", "nodeName: node-a, zone: z1");
const B_TO_A: Edit = ("nodeName: node-b, zone: z2", "nodeName: node-a, zone: z1");
const LB_LOCAL: Edit =
    ("type: ClusterIP", "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 31000");
const NP_LOCAL: Edit = ("type: ClusterIP", "type: NodePort, externalTrafficPolicy: Local");
const ITP_LOCAL: Edit = ("type: ClusterIP", "type: ClusterIP, internalTrafficPolicy: Local");
const PORTS_END: &str = "targetPort: http}]}";
const INGRESS: Edit =
    (PORTS_END, "targetPort: http}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}");
const AT_30080: Edit = (PORTS_END, "targetPort: http, nodePort: 30080}]}");
const AT_30080_ONLY_TARGET: Edit = (PORTS_END, "targetPort: 30080}]}");
const DUAL: Edit = (
    "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack",
    "ipFamilies: [IPv4, IPv6], ipFamilyPolicy: PreferDualStack",
);
const PREFER_DUAL: Edit = ("ipFamilyPolicy: SingleStack", "ipFamilyPolicy: PreferDualStack");
const BOTH_A: Edit = ("podIP: 10.244.0.5", "podIPs: [{ip: 10.244.0.5}, {ip: \"fd00::5\"}]");
const BOTH_B: Edit = ("podIP: 10.244.1.5", "podIPs: [{ip: 10.244.1.5}, {ip: \"fd00:1::5\"}]");
const BOTH_C: Edit = ("podIP: 10.244.2.5", "podIPs: [{ip: 10.244.2.5}, {ip: \"fd00:2::5\"}]");
const HINT_1: Edit = ("zone: z1, targetRef", "zone: z1, hints: {forZones: [{name: z1}]}, targetRef");
const HINT_2: Edit = ("zone: z2, targetRef", "zone: z2, hints: {forZones: [{name: z2}]}, targetRef");
const HINT_3: Edit = ("zone: z3, targetRef", "zone: z3, hints: {forZones: [{name: z3}]}, targetRef");
const SAME_ZONE: Edit = ("type: ClusterIP", "type: ClusterIP, trafficDistribution: PreferSameZone");
const META_END: &str = "labels: {app: web}}\nspec: {type";
const EXTERNAL_IP: Edit = ("type: ClusterIP", "type: ClusterIP, externalIPs: [198.51.100.9]");
const RANGES: Edit = ("type: ClusterIP", "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24]");
const UNLABELLED: Edit = ("labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}", "labels: {}");
const AFFINITY: Edit = ("type: ClusterIP", "type: ClusterIP, sessionAffinity: ClientIP");
const ON_NODE_Z: Edit = ("nodeName: node-a, containers", "nodeName: node-z, containers");
const NO_LINKS: Edit = ("containers: [{name: web", "enableServiceLinks: false, containers: [{name: web");

// Added documents.
/// A Service without a selector.
const EXT: &str = "{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {clusterIP: 10.96.2.2, ports: [{name: http, port: 80}]}}";
const EXT_HEADLESS: &str = "{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {clusterIP: None, ports: [{name: http, port: 80}]}}";
const EXT_SLICE: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-1, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const EXT_UNNAMED: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-1, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: IPv4, ports: [{name: \"\", port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const EXT_NO_PORTS: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-1, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: IPv4, ports: null, endpoints: [{addresses: [192.0.2.9]}]}";
const EXT_PORT_0: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-1, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: IPv4, ports: [{name: http, port: 0}], endpoints: [{addresses: [192.0.2.9]}]}";
const EXT_EMPTY: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-1, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: IPv4, ports: null, endpoints: null}";
const EXT_VIP: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-1, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [{addresses: [10.96.1.5]}]}";
const EXT_FQDN: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-2, namespace: shop, labels: {kubernetes.io/service-name: ext}}, addressType: FQDN, ports: [{name: http, port: 80}], endpoints: [{addresses: [a.example.com]}]}";
const OTHER_FQDN: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: other-2, namespace: shop, labels: {kubernetes.io/service-name: other}}, addressType: FQDN, ports: [{name: http, port: 80}], endpoints: [{addresses: [a.example.com]}]}";
const EXT_ENDPOINTS: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: ext, namespace: shop}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const EXT_ENDPOINTS_VIP: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: ext, namespace: shop}, subsets: [{addresses: [{ip: 10.96.1.5}], ports: [{name: http, port: 80}]}]}";
const EXT_ENDPOINTS_VIP_MANAGED: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: ext, namespace: shop, labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}}, subsets: [{addresses: [{ip: 10.96.1.5}], ports: [{name: http, port: 80}]}]}";
const EXT_SKIPPED: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: ext, namespace: shop, labels: {endpointslice.kubernetes.io/skip-mirror: \"true\"}}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const EXT_NOT_SKIPPED: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: ext, namespace: shop, labels: {endpointslice.kubernetes.io/skip-mirror: \"false\"}}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const EXTS: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: exts, namespace: shop}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const EXTS_MANAGED: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: exts, namespace: shop, labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const EXTS_LOCK: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: exts, namespace: shop, annotations: {control-plane.alpha.kubernetes.io/leader: x}}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const UNLIKE_SAME_PORTS: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: database, namespace: shop}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: 80}]}]}";
const UNLIKE: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: database, namespace: shop}, subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: sql, port: 5432}]}]}";
const LABELLED_ENDPOINTS: &str = "{apiVersion: v1, kind: Endpoints, metadata: {name: other, namespace: shop, labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}}}";
const CLIENT_C: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, labels: {app: client}}, spec: {nodeName: node-c, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.2.9}}";
const CLIENT_A: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, labels: {app: client}}, spec: {nodeName: node-a, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.0.9}}";
const HOST_30080: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: other, labels: {app: host}}, spec: {hostNetwork: true, nodeName: node-a, containers: [{name: main, ports: [{containerPort: 30080}]}]}, status: {phase: Running, podIP: 192.168.0.1}}";
const HOST_30081: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: other, labels: {app: host}}, spec: {hostNetwork: true, nodeName: node-a, containers: [{name: main, ports: [{containerPort: 30081}]}]}, status: {phase: Running, podIP: 192.168.0.1}}";
const HOST_UDP_30080: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: other, labels: {app: host}}, spec: {hostNetwork: true, nodeName: node-a, containers: [{name: main, ports: [{containerPort: 30080, protocol: UDP}]}]}, status: {phase: Running, podIP: 192.168.0.1}}";
const POD_30080: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: other, labels: {app: host}}, spec: {nodeName: node-a, containers: [{name: main, ports: [{containerPort: 30080}]}]}, status: {phase: Running, podIP: 10.244.0.77}}";
const BACKEND_30080: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: shop, labels: {app: web}}, spec: {hostNetwork: true, nodeName: node-a, containers: [{name: main, ports: [{name: http, containerPort: 30080}]}]}, status: {phase: Running, podIP: 192.168.0.1}}";
const CALLER_C: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, labels: {app: client}, annotations: {vipscope.dev/simulated-calls: 'data/queue=1, shop/web:http=2'}}, spec: {nodeName: node-c, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.2.9}}";
const CALLER_OF_OTHER_C: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, labels: {app: client}, annotations: {vipscope.dev/simulated-calls: 'shop/webs=2'}}, spec: {nodeName: node-c, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.2.9}}";
const CALLER_A: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, labels: {app: client}, annotations: {vipscope.dev/simulated-calls: 'shop/web=2'}}, spec: {nodeName: node-a, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.0.9}}";
const CLIENT_ELSEWHERE: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: other, labels: {app: client}}, spec: {nodeName: node-c, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.2.9}}";
const CLIENT_V6: &str = "{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: other, labels: {app: client}}, spec: {nodeName: node-c, containers: [{name: main}]}, status: {phase: Running, podIP: \"fd00:2::9\"}}";
const API_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: api-77-x, namespace: shop, labels: {app: web, pod-template-hash: \"77\"}, ownerReferences: [{kind: ReplicaSet, name: api-77, controller: true}]}, spec: {nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}, status: {phase: Running, podIP: 10.244.0.6, conditions: [{type: Ready, status: \"True\"}]}}";
const CANARY_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web-canary-77-x, namespace: shop, labels: {app: web, pod-template-hash: \"77\"}, ownerReferences: [{kind: ReplicaSet, name: web-canary-77, controller: true}]}, spec: {nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}, status: {phase: Running, podIP: 10.244.0.6, conditions: [{type: Ready, status: \"True\"}]}}";
const JOB_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: migrate-x, namespace: shop, labels: {app: web}, ownerReferences: [{kind: Job, name: migrate, controller: true}]}, spec: {nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}, status: {phase: Running, podIP: 10.244.0.6, conditions: [{type: Ready, status: \"True\"}]}}";
const OTHER_JOB_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: migrate-x, namespace: shop, labels: {app: migrate}, ownerReferences: [{kind: Job, name: migrate, controller: true}]}, spec: {nodeName: node-a, containers: [{name: web}]}, status: {phase: Running, podIP: 10.244.0.6}}";
const STATIC_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web-node-a, namespace: shop, labels: {app: web}, ownerReferences: [{kind: Node, name: node-a, controller: true}]}, spec: {nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}, status: {phase: Running, podIP: 10.244.0.6, conditions: [{type: Ready, status: \"True\"}]}}";
const HOST_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: shop, labels: {app: host}}, spec: {nodeName: node-a, hostNetwork: true, containers: [{name: main}]}, status: {phase: Running, podIP: 192.168.0.1}}";
const TWIN: &str = "{apiVersion: v1, kind: Service, metadata: {name: web2, namespace: shop}, spec: {clusterIP: 10.96.1.6, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}";
const TWIN_HEADLESS: &str = "{apiVersion: v1, kind: Service, metadata: {name: web2, namespace: shop}, spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}";
const TWIN_OTHER_PORT: &str = "{apiVersion: v1, kind: Service, metadata: {name: web2, namespace: shop}, spec: {clusterIP: 10.96.1.6, selector: {app: web}, ports: [{port: 81, targetPort: http}]}}";
const NARROW: &str = "{apiVersion: v1, kind: Service, metadata: {name: web2, namespace: shop}, spec: {clusterIP: 10.96.1.6, selector: {pod-template-hash: \"77\"}, ports: [{port: 81, targetPort: http}]}}";
const APART: &str = "{apiVersion: v1, kind: Service, metadata: {name: web2, namespace: shop}, spec: {clusterIP: 10.96.1.6, selector: {app: client}, ports: [{port: 80, targetPort: 80}]}}";
const LATER_30080: &str = "{apiVersion: v1, kind: Service, metadata: {name: later, namespace: shop, creationTimestamp: \"2026-01-01T12:00:00Z\"}, spec: {type: NodePort, clusterIP: 10.96.1.6, ports: [{name: http, port: 80, nodePort: 30080}]}}";
const LATER_30081: &str = "{apiVersion: v1, kind: Service, metadata: {name: later, namespace: shop, creationTimestamp: \"2026-01-01T12:00:00Z\"}, spec: {type: NodePort, clusterIP: 10.96.1.6, ports: [{name: http, port: 80, nodePort: 30081}]}}";
const LATER_31000: &str = "{apiVersion: v1, kind: Service, metadata: {name: later, namespace: shop, creationTimestamp: \"2026-01-01T12:00:00Z\"}, spec: {type: NodePort, clusterIP: 10.96.1.6, ports: [{name: http, port: 80, nodePort: 31000}]}}";
const ONLY_192_168_0_1: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}, data: {config.conf: \"mode: iptables\\nnodePortAddresses: [192.168.0.1/32]\\n\"}}";
const ALL_NODES: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}, data: {config.conf: \"mode: iptables\\nnodePortAddresses: [192.168.0.0/24]\\n\"}}";
const NFTABLES: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}, data: {config.conf: \"mode: nftables\\n\"}}";
const IPVS: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}, data: {config.conf: \"mode: ipvs\\n\"}}";
const USERSPACE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}, data: {config.conf: \"mode: userspace\\n\"}}";
const LEADS_OUT: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: db.example.com}}";
const LEADS_TO_IP: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: 192.0.2.1.}}";
const LEADS_TO_NUMBERS: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: 192.0.2.1.example.com}}";
const LEADS_TO_WEB: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: web.shop.svc.cluster.local.}}";
const LEADS_NOWHERE: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: gone.shop.svc}}";
const LEADS_BACK: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: alias.shop.svc.cluster.local}}";
const LEADS_BARE: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: database}}";
const LEADS_TO_SVC_OUTSIDE: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: web.shop.svc.example.com}}";
const LEADS_WITH_PORTS: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: db.example.com, ports: [{port: 5432}]}}";
const LEADS_WITH_EXTERNAL_IP: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: db.example.com, externalIPs: [198.51.100.9]}}";
const DB_0: &str = "{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: db}}, spec: {nodeName: node-a, hostname: db-0, subdomain: db, containers: [{name: db}]}, status: {phase: Running, podIP: 10.244.0.7}}";
const DB_0_FINISHED: &str = "{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: db}}, spec: {nodeName: node-a, hostname: db-0, subdomain: db, containers: [{name: db}]}, status: {phase: Failed, podIP: 10.244.0.7}}";
const DB_NAMELESS: &str = "{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: db}}, spec: {nodeName: node-a, subdomain: db, containers: [{name: db}]}, status: {phase: Running, podIP: 10.244.0.7}}";
const DB_HEADLESS: &str = "{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}}";
const DB: &str = "{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: 10.96.1.8, selector: {app: db}, ports: [{port: 5432}]}}";
const SOLO: &str = "{apiVersion: v1, kind: Service, metadata: {name: solo, namespace: shop}, spec: {clusterIP: 10.96.1.9, selector: {app: solo}, ports: [{port: 80, targetPort: 80}]}}";
const SOLO_NO_SELECTOR: &str = "{apiVersion: v1, kind: Service, metadata: {name: solo, namespace: shop}, spec: {clusterIP: 10.96.1.9, ports: [{port: 80, targetPort: 80}]}}";
const SOLO_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: solo-1, namespace: shop, labels: {app: solo}}, spec: {nodeName: node-a, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.0.8}}";
const SOLO_POD_2: &str = "{apiVersion: v1, kind: Pod, metadata: {name: solo-2, namespace: shop, labels: {app: solo}}, spec: {nodeName: node-b, containers: [{name: main}]}, status: {phase: Running, podIP: 10.244.1.8}}";
const SOLO_SLICE: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: solo-1, namespace: shop, labels: {kubernetes.io/service-name: solo}}, addressType: IPv4, ports: [{name: \"\", port: 80}], endpoints: [{addresses: [10.244.0.8], nodeName: node-a, zone: z1}]}";
const WEB_SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: web-service, namespace: shop}, spec: {clusterIP: 10.96.1.6, ports: [{port: 80}]}}";
const WEB_API: &str = "{apiVersion: v1, kind: Service, metadata: {name: web-api, namespace: shop}, spec: {clusterIP: 10.96.1.6, ports: [{port: 80}]}}";
const DIGIT: &str = "{apiVersion: v1, kind: Service, metadata: {name: 1web, namespace: shop}, spec: {clusterIP: 10.96.1.6, ports: [{port: 80}]}}";
const LOOSE: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: loose, namespace: shop}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const LOOSE_TO_NOBODY: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: loose, namespace: shop, labels: {kubernetes.io/service-name: gone}}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const LOOSE_TO_WEB: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: loose, namespace: shop, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const LOOSE_OWNED: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: loose, namespace: shop, ownerReferences: [{kind: Thing, name: x}]}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const NAMESPACE_GOING: &str =
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, deletionTimestamp: \"2026-01-01T12:00:00Z\"}}";
const NAMESPACE_JUST_GOING: &str =
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, deletionTimestamp: \"2026-01-01T23:58:00Z\"}}";

const EXT_MIRRORED: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ext-m, namespace: shop, labels: {kubernetes.io/service-name: ext, endpointslice.kubernetes.io/managed-by: endpointslicemirroring-controller.k8s.io}}, addressType: IPv4, ports: [{name: \"\", port: 80}], endpoints: [{addresses: [192.0.2.9]}]}";
const OLD_REVISION_POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web-77c984c8f5-x, namespace: shop, labels: {app: web}, ownerReferences: [{kind: ReplicaSet, name: web-77c984c8f5, controller: true}]}, spec: {nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}, status: {phase: Running, podIP: 10.244.0.6, conditions: [{type: Ready, status: \"True\"}]}}";
const SAME_ADDRESS_LB: &str = "{apiVersion: v1, kind: Service, metadata: {name: later, namespace: shop}, spec: {type: LoadBalancer, clusterIP: 10.96.1.6, ports: [{name: http, port: 80}]}, status: {loadBalancer: {ingress: [{ip: 198.51.100.9}]}}}";
const SAME_ADDRESS_OTHER_PORT: &str = "{apiVersion: v1, kind: Service, metadata: {name: later, namespace: shop}, spec: {type: LoadBalancer, clusterIP: 10.96.1.6, ports: [{name: http, port: 81}]}, status: {loadBalancer: {ingress: [{ip: 198.51.100.9}]}}}";
/// To a namespace of which nothing is shown.
const LEADS_UNSEEN: &str = "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: web.prod.svc.cluster.local}}";

pub const ROWS: &[Row] = &[
    // Selection.
    (1, WEB_ERROR, &[WOB], &[]),
    (1, WEB_ERROR, &[("selector: {app: web}", "selector: {app: web, tier: x}")], &[]),
    (1, "", &[("selector: {app: web}", "selector: {app: web, pod-template-hash: 5d9}")], &[]),
    (1, "", &[("type: ClusterIP", "type: ExternalName, externalName: a.example.com"), WOB], &[]),
    (1, "", &[NO_SELECTOR], &[]),
    (1, "", &[], &[EXT, EXT_SLICE]),
    (24, WEB_WARN, &[], &[API_POD]),
    (
        24,
        WEB_WARN,
        &[(
            "name: web-5d9-a, namespace: shop, labels: {app: web",
            "name: web-5d9-a, namespace: shop, labels: {app: web, app.kubernetes.io/name: api",
        )],
        &[],
    ),
    (24, "", &[], &[CANARY_POD]),
    (24, "", &[], &[OLD_REVISION_POD]),
    (24, "", &[], &[JOB_POD]),
    (24, "", &[], &[STATIC_POD]),
    (25, WEB_INFO, &[], &[TWIN]),
    (25, WEB_INFO, &[], &[API_POD, NARROW]),
    (25, "", &[], &[TWIN_HEADLESS]),
    (25, "", &[], &[TWIN_OTHER_PORT]),
    (25, "", &[], &[APART, CLIENT_A]),
    (26, WEB_INFO, &[], &[JOB_POD]),
    (26, "", &[], &[OTHER_JOB_POD]),
    (26, "", &[], &[CANARY_POD]),
    (27, WEB_WARN, &[WOB], &[]),
    (27, "", &[("selector: {app: web}", "selector: {pod-template-hash: 5d9}")], &[]),
    (27, "", &[WOB, ("name: web-5d9, controller", "name: api-5d9, controller")], &[]),
    (27, "", &[("type: ClusterIP", "type: ExternalName, externalName: a.example.com"), WOB], &[]),
    // Ports.
    (4, WEB_ERROR, &[("targetPort: http", "targetPort: htpp")], &[]),
    (4, WEB_WARN, &[("targetPort: http", "targetPort: htpp"), HEADLESS], &[]),
    (4, "", &[("targetPort: http", "targetPort: 9000")], &[]),
    (4, "", &[UDP], &[]),
    (4, "", &[RENAMED_A], &[]),
    (5, WEB_WARN, &[RENAMED_A], &[]),
    (5, "", &[RENAMED_A, ("targetPort: http", "targetPort: 8080")], &[]),
    (5, "", &[("targetPort: http", "targetPort: htpp")], &[]),
    (5, "", &[RENAMED_A, FINISHED_A], &[]),
    (6, WEB_ERROR, &[UDP], &[]),
    (6, "", &[UDP_A], &[]),
    (
        6,
        "",
        &[(
            "{name: http, containerPort: 8080}",
            "{name: http, containerPort: 8080, protocol: UDP}, {name: http, containerPort: 8080}",
        )],
        &[],
    ),
    (6, "", &[UDP, ("targetPort: http", "targetPort: 8080")], &[]),
    (7, WEB_WARN, &[("targetPort: http", "targetPort: 9000")], &[]),
    (7, WEB_INFO, &[("targetPort: http}", "targetPort: 9000}, {name: b, port: 81, targetPort: http}")], &[]),
    (7, "", &[("targetPort: http", "targetPort: 8080")], &[]),
    (
        7,
        "",
        &[("ports: [{name: http, containerPort: 8080}], ", ""), ("targetPort: http", "targetPort: 9000")],
        &[],
    ),
    (8, WEB_INFO, &[OTHER_NUMBER_A], &[]),
    (8, "", &[OTHER_NUMBER_A, ("targetPort: http", "targetPort: 8080")], &[]),
    (8, "", &[OTHER_NUMBER_A, FINISHED_A], &[]),
    // Readiness.
    (2, WEB_ERROR, &[UNREADY_A, UNREADY_B, UNREADY_C], &[]),
    (2, "", &[UNREADY_A, UNREADY_B], &[]),
    (2, "", &[UNREADY_A, UNREADY_B, UNREADY_C, PUBLISH], &[]),
    (2, "", &[UNREADY_A, UNREADY_B, UNREADY_C, WOB], &[]),
    (3, WEB_INFO, &[UNREADY_A], &[]),
    (3, WEB_WARN, &[UNREADY_A, UNREADY_B], &[]),
    (
        3,
        "",
        &[
            UNREADY_A,
            (
                "name: web-5d9-a, namespace: shop, labels",
                "name: web-5d9-a, namespace: shop, deletionTimestamp: \"2026-01-01T00:00:00Z\", labels",
            ),
        ],
        &[],
    ),
    (3, "", &[UNREADY_A, FINISHED_A], &[]),
    (3, "", &[UNREADY_A, UNREADY_B, UNREADY_C], &[]),
    (20, WEB_WARN, &[ALL_DYING], &[]),
    (
        20,
        "",
        &[(
            "10.244.0.5], nodeName: node-a, zone: z1, targetRef: {kind: Pod, namespace: shop, name: web-5d9-a}, conditions: {ready: true, serving: true, terminating: false}",
            "10.244.0.5], conditions: {ready: false, serving: true, terminating: true}",
        )],
        &[],
    ),
    (20, "", &[ALL_UNREADY], &[]),
    (20, "", &[ALL_DYING, HEADLESS], &[]),
    (21, WEB_WARN, &[PUBLISH, ("ready: true, serving: true", "ready: true, serving: false")], &[]),
    (21, WEB_INFO, &[PUBLISH, HEADLESS, ("ready: true, serving: true", "ready: true, serving: false")], &[]),
    (21, "", &[PUBLISH], &[]),
    (21, "", &[("ready: true, serving: true", "ready: true, serving: false")], &[]),
    (22, WEB_ERROR, &[ON_NODE_Z], &[]),
    (22, WEB_ERROR, &[("nodeName: node-a, containers", "containers")], &[]),
    (22, "", &[ON_NODE_Z, PUBLISH], &[]),
    (22, "", &[ON_NODE_Z, ("phase: Running, podIP: 10.244.0.5", "phase: Pending, podIP: 10.244.0.5")], &[]),
    (22, "", &[ON_NODE_Z, WOB], &[]),
    (23, WEB_ERROR, &[DUAL], &[]),
    (23, "", &[DUAL, BOTH_A], &[]),
    (23, "", &[DUAL, NO_SELECTOR], &[]),
    (23, "", &[DUAL, ("podIP: 10.244", "hostIP: 10.244")], &[]),
    // Binding.
    (9, EXT_ERROR, &[], &[EXT]),
    (9, EXT_ERROR, &[], &[EXT_HEADLESS, EXT_EMPTY]),
    (9, "", &[], &[EXT, EXT_SLICE]),
    (9, "", &[], &[EXT, EXT_ENDPOINTS]),
    (9, "", &[], &[LEADS_OUT]),
    (9, "", &[], &[SOLO]),
    (10, "warn Endpoints shop/exts", &[], &[EXT, EXTS]),
    (10, "warn Endpoints shop/database", &[], &[EXT, UNLIKE_SAME_PORTS]),
    (10, "", &[], &[EXT, EXT_ENDPOINTS]),
    (10, "", &[], &[EXT, EXTS_MANAGED]),
    (10, "", &[], &[EXT, EXTS_LOCK]),
    (10, "", &[], &[EXT, UNLIKE]),
    (10, "", &[], &[EXT, EXT_SLICE, EXTS]),
    (11, "warn EndpointSlice shop/loose", &[], &[LOOSE]),
    (11, "warn EndpointSlice shop/loose", &[], &[LOOSE_TO_NOBODY]),
    (11, "", &[], &[LOOSE_TO_WEB]),
    (11, "", &[], &[LOOSE_OWNED]),
    (12, EXT_ERROR, &[], &[EXT, EXT_UNNAMED]),
    (12, EXT_ERROR, &[], &[EXT, EXT_MIRRORED]),
    (12, "", &[], &[EXT, EXT_SLICE]),
    (12, "", &[], &[EXT_HEADLESS, EXT_UNNAMED]),
    (
        12,
        "",
        &[
            ("targetPort: http", "targetPort: htpp"),
            ("ports: [{name: http, port: 8080, protocol: TCP}]", "ports: [{name: x, port: 8080}]"),
        ],
        &[],
    ),
    (13, EXT_ERROR, &[], &[EXT, EXT_NO_PORTS]),
    (13, EXT_ERROR, &[], &[EXT, EXT_PORT_0]),
    (13, "", &[], &[EXT, EXT_SLICE]),
    (13, "", &[], &[EXT, EXT_EMPTY]),
    (13, "", &[("ports: [{name: http, port: 8080, protocol: TCP}]", "ports: null")], &[]),
    (14, EXT_WARN, &[], &[EXT, EXT_VIP]),
    (14, EXT_WARN, &[], &[EXT, EXT_ENDPOINTS_VIP]),
    (14, "", &[], &[EXT, EXT_SLICE]),
    (14, "", &[], &[EXT, EXT_ENDPOINTS_VIP_MANAGED]),
    (15, EXT_WARN, &[], &[EXT, EXT_SLICE, EXT_FQDN]),
    (15, "", &[], &[EXT, EXT_SLICE]),
    (15, "", &[], &[EXT, EXT_SLICE, OTHER_FQDN]),
    (16, WEB_WARN, &[NO_SELECTOR], &[]),
    (16, "", &[NO_SELECTOR, ("type: ClusterIP", "type: ExternalName, externalName: a.example.com")], &[]),
    (16, "", &[], &[EXT, EXT_SLICE]),
    (17, WEB_WARN, &[UNLABELLED], &[LABELLED_ENDPOINTS]),
    // Before 1.33 no Endpoints are labelled.
    (17, "", &[UNLABELLED], &[]),
    (17, "", &[UNLABELLED, NO_SELECTOR], &[LABELLED_ENDPOINTS]),
    (18, EXT_WARN, &[], &[EXT, EXT_SKIPPED]),
    (18, "", &[], &[EXT, EXT_SKIPPED, EXT_SLICE]),
    (18, "", &[], &[EXT, EXT_NOT_SKIPPED]),
    (18, "", &[], &[EXT, EXT_ENDPOINTS]),
    (
        19,
        WEB_WARN,
        &[(
            "labels: {endpoints.kubernetes.io",
            "annotations: {endpoints.kubernetes.io/over-capacity: truncated}, labels: {endpoints.kubernetes.io",
        )],
        &[],
    ),
    (
        19,
        "",
        &[(
            "labels: {endpoints.kubernetes.io",
            "annotations: {endpoints.kubernetes.io/over-capacity: warning}, labels: {endpoints.kubernetes.io",
        )],
        &[],
    ),
    (
        19,
        "",
        &[(
            META_END,
            "labels: {app: web}, annotations: {endpoints.kubernetes.io/over-capacity: truncated}}\nspec: {type",
        )],
        &[],
    ),
    // Policies.
    (28, WEB_WARN, &[LB_LOCAL, C_TO_A], &[]),
    (28, WEB_ERROR, &[NP_LOCAL, C_TO_A], &[]),
    (28, WEB_ERROR, &[("type: ClusterIP", "type: LoadBalancer, externalTrafficPolicy: Local"), C_TO_A], &[]),
    (28, "", &[LB_LOCAL], &[]),
    (28, "", &[NODE_PORT, C_TO_A], &[]),
    (
        28,
        "",
        &[NP_LOCAL, C_TO_A, ("podCIDRs: [10.244.2.0/24]", "unschedulable: true, podCIDRs: [10.244.2.0/24]")],
        &[],
    ),
    (
        28,
        "",
        &[
            LB_LOCAL,
            C_TO_A,
            (
                "topology.kubernetes.io/zone: z3",
                "node.kubernetes.io/exclude-from-external-load-balancers: \"\", topology.kubernetes.io/zone: z3",
            ),
        ],
        &[],
    ),
    (28, "", &[NP_LOCAL, ALL_UNREADY], &[]),
    (29, WEB_ERROR, &[NP_LOCAL, ALL_UNREADY], &[]),
    (29, "", &[NODE_PORT, ALL_UNREADY], &[]),
    (29, "", &[NP_LOCAL, ALL_DYING], &[]),
    (29, "", &[ITP_LOCAL, ALL_UNREADY], &[]),
    (30, WEB_WARN, &[ITP_LOCAL, C_TO_A], &[CLIENT_C]),
    (30, WEB_ERROR, &[ITP_LOCAL, C_TO_A], &[CALLER_C]),
    (30, WEB_WARN, &[ITP_LOCAL, C_TO_A], &[CALLER_OF_OTHER_C]),
    (30, "", &[ITP_LOCAL, C_TO_A], &[CALLER_A]),
    (30, "", &[ITP_LOCAL, C_TO_A], &[CLIENT_A]),
    (30, "", &[ITP_LOCAL, C_TO_A], &[CLIENT_ELSEWHERE]),
    (30, "", &[C_TO_A], &[CLIENT_C]),
    (30, "", &[ITP_LOCAL, ALL_UNREADY], &[CLIENT_C]),
    // From outside.
    (31, WEB_ERROR, &[BALANCER], &[]),
    (31, WEB_WARN, &[BALANCER, ("2026-01-01T00:00:00Z", "2026-01-01T23:53:00Z")], &[]),
    (31, "", &[BALANCER, ("2026-01-01T00:00:00Z", "2026-01-01T23:57:00Z")], &[]),
    (31, "", &[BALANCER, INGRESS], &[]),
    (31, "", &[NODE_PORT], &[]),
    (
        32,
        WEB_ERROR,
        &[
            BALANCER,
            (
                PORTS_END,
                "targetPort: http}]}\nstatus: {conditions: [{type: LoadBalancerPortsError, status: \"True\", reason: LoadBalancerMixedProtocolNotSupported}]}",
            ),
        ],
        &[],
    ),
    (
        32,
        WEB_ERROR,
        &[
            BALANCER,
            (
                PORTS_END,
                "targetPort: http}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.7, ports: [{port: 80, protocol: TCP, error: MixedProtocolNotSupported}]}]}}",
            ),
        ],
        &[],
    ),
    (
        32,
        "",
        &[
            BALANCER,
            (
                PORTS_END,
                "targetPort: http}]}\nstatus: {conditions: [{type: LoadBalancerPortsError, status: \"False\"}]}",
            ),
        ],
        &[],
    ),
    (
        32,
        "",
        &[
            BALANCER,
            (
                PORTS_END,
                "targetPort: http}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.7, ports: [{port: 80, protocol: TCP}]}]}}",
            ),
        ],
        &[],
    ),
    (33, WEB_WARN, &[RANGES], &[]),
    (
        33,
        "",
        &[("type: ClusterIP", "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24, 0.0.0.0/0]")],
        &[],
    ),
    (
        33,
        "",
        &[(
            "type: ClusterIP",
            "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24, 192.168.0.0/24, 10.244.0.0/16]",
        )],
        &[],
    ),
    (
        33,
        "",
        &[("type: ClusterIP", "type: LoadBalancer, loadBalancerSourceRanges: [\"2001:db8::/64\"]")],
        &[],
    ),
    (34, WEB_WARN, &[RANGES, AT_30080], &[]),
    (34, "", &[RANGES], &[]),
    (34, "", &[BALANCER, AT_30080], &[]),
    (
        35,
        WEB_INFO,
        &[
            BALANCER,
            (
                PORTS_END,
                "targetPort: http}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.7, ipMode: Proxy}]}}",
            ),
        ],
        &[],
    ),
    (
        35,
        "",
        &[
            BALANCER,
            (
                PORTS_END,
                "targetPort: http}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.7, ipMode: VIP}]}}",
            ),
        ],
        &[],
    ),
    (35, "", &[BALANCER, INGRESS], &[]),
    (36, WEB_INFO, &[("type: ClusterIP", "type: LoadBalancer, loadBalancerIP: 192.0.2.7")], &[]),
    (
        36,
        WEB_INFO,
        &[
            BALANCER,
            (
                META_END,
                "labels: {app: web}, annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: 10.0.0.0/8}}\nspec: {type",
            ),
        ],
        &[],
    ),
    (36, "", &[RANGES], &[]),
    (
        36,
        "",
        &[
            BALANCER,
            (
                META_END,
                "labels: {app: web}, annotations: {service.beta.kubernetes.io/aws-load-balancer-type: nlb}}\nspec: {type",
            ),
        ],
        &[],
    ),
    (37, "error Service shop/later", &[NODE_PORT, AT_30080], &[LATER_30080]),
    (37, "", &[NODE_PORT, AT_30080], &[LATER_30081]),
    // A process of a node.
    (37, WEB_ERROR, &[NODE_PORT, AT_30080], &[HOST_30080]),
    (37, "", &[NODE_PORT, AT_30080], &[HOST_30081]),
    (37, "", &[NODE_PORT, AT_30080], &[HOST_UDP_30080]),
    (37, "", &[NODE_PORT, AT_30080], &[POD_30080]),
    (37, "", &[NODE_PORT, AT_30080], &[BACKEND_30080]),
    (37, "", &[AT_30080_ONLY_TARGET], &[HOST_30080]),
    (
        37,
        "",
        &[
            NODE_PORT,
            (
                PORTS_END,
                "targetPort: http, nodePort: 30080}, {name: h3, port: 80, protocol: UDP, targetPort: http, nodePort: 30080}]}",
            ),
        ],
        &[],
    ),
    (
        38,
        WEB_INFO,
        &[
            NODE_PORT,
            (
                META_END,
                "labels: {app: web}, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"spec\":{\"ports\":[{\"nodePort\":31000}]}}'}}\nspec: {type",
            ),
            (PORTS_END, "targetPort: http, nodePort: 31000}]}"),
        ],
        &[],
    ),
    (38, WEB_INFO, &[NODE_PORT, (PORTS_END, "targetPort: http, nodePort: 20000}]}")], &[LATER_30080]),
    (
        38,
        "",
        &[
            NODE_PORT,
            (
                META_END,
                "labels: {app: web}, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"spec\":{\"ports\":[{\"nodePort\":30080}]}}'}}\nspec: {type",
            ),
            AT_30080,
        ],
        &[],
    ),
    (38, "", &[NODE_PORT, (PORTS_END, "targetPort: http, nodePort: 31000}]}")], &[]),
    (38, "", &[NODE_PORT, (PORTS_END, "targetPort: http, nodePort: 20000}]}")], &[]),
    (39, "warn ProxyConfig kube-system/kube-proxy", &[NODE_PORT, AT_30080], &[ONLY_192_168_0_1]),
    (39, "", &[NODE_PORT, AT_30080], &[ALL_NODES]),
    (39, "", &[], &[ONLY_192_168_0_1]),
    (39, "", &[NODE_PORT, AT_30080], &[NFTABLES]),
    (40, WEB_ERROR, &[LB_LOCAL], &[LATER_31000]),
    (40, WEB_ERROR, &[("type: ClusterIP", "type: LoadBalancer, externalTrafficPolicy: Local")], &[]),
    (40, "", &[LB_LOCAL], &[LATER_30080]),
    (40, "", &[BALANCER], &[LATER_31000]),
    (40, "", &[NP_LOCAL], &[LATER_31000]),
    (41, WEB_WARN, &[EXTERNAL_IP], &[]),
    (41, WEB_ERROR, &[EXTERNAL_IP], &[SAME_ADDRESS_LB]),
    (41, WEB_WARN, &[EXTERNAL_IP], &[SAME_ADDRESS_OTHER_PORT]),
    (41, WEB_ERROR, &[("type: ClusterIP", "type: ClusterIP, externalIPs: [192.168.0.2]")], &[]),
    (41, WEB_ERROR, &[("type: ClusterIP", "type: ClusterIP, externalIPs: [10.244.1.5]")], &[]),
    (41, WEB_ERROR, &[("type: ClusterIP", "type: ClusterIP, externalIPs: [10.96.0.1]")], &[]),
    (41, "", &[EXTERNAL_IP, HEADLESS], &[]),
    (41, "", &[BALANCER, INGRESS], &[]),
    (42, WEB_INFO, &[EXTERNAL_IP, HEADLESS], &[]),
    (42, "info Service shop/alias", &[], &[LEADS_WITH_EXTERNAL_IP]),
    (42, "", &[EXTERNAL_IP], &[]),
    (42, "", &[HEADLESS], &[]),
    (42, "", &[], &[LEADS_OUT]),
    // Kind and type.
    (43, ALIAS_ERROR, &[], &[LEADS_TO_IP]),
    (43, "", &[], &[LEADS_OUT]),
    (43, "", &[], &[LEADS_TO_NUMBERS]),
    (43, "", &[("type: ClusterIP", "type: ClusterIP, externalName: 192.0.2.1")], &[]),
    (44, ALIAS_WARN, &[], &[LEADS_TO_WEB]),
    (44, ALIAS_ERROR, &[], &[LEADS_NOWHERE]),
    (44, ALIAS_ERROR, &[], &[LEADS_BACK]),
    (44, ALIAS_WARN, &[], &[LEADS_BARE]),
    (44, ALIAS_WARN, &[], &[LEADS_UNSEEN]),
    (44, "", &[], &[LEADS_OUT]),
    (44, "", &[], &[LEADS_TO_IP]),
    (44, "", &[], &[LEADS_TO_SVC_OUTSIDE]),
    (45, "info Service shop/alias", &[], &[LEADS_WITH_PORTS]),
    (45, "", &[], &[LEADS_OUT]),
    (45, "", &[("type: ClusterIP", "type: ClusterIP, externalName: a.example.com")], &[]),
    (46, WEB_INFO, &[HEADLESS], &[]),
    (46, WEB_INFO, &[HEADLESS, ("port: 80, targetPort", "port: 8080, targetPort"), AFFINITY], &[]),
    (46, "", &[HEADLESS, ("port: 80, targetPort", "port: 8080, targetPort")], &[]),
    (46, "", &[AFFINITY], &[]),
    (47, "warn Pod shop/db-0", &[], &[DB_0]),
    (47, "warn Service shop/db", &[], &[DB_0, DB]),
    (47, "warn Service shop/db", &[], &[DB_NAMELESS, DB_HEADLESS]),
    (47, "", &[], &[DB_0, DB_HEADLESS]),
    (47, "", &[], &[DB_0_FINISHED]),
    // Quality.
    (48, WEB_WARN, &[("type: ClusterIP", "type: NodePort, sessionAffinity: ClientIP")], &[]),
    (
        48,
        WEB_WARN,
        &[(
            "type: ClusterIP",
            "type: ClusterIP, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 10801}}",
        )],
        &[],
    ),
    (48, "", &[AFFINITY], &[]),
    (
        48,
        "",
        &[("type: ClusterIP", "type: NodePort, externalTrafficPolicy: Local, sessionAffinity: ClientIP")],
        &[],
    ),
    (48, "", &[AFFINITY, HEADLESS], &[]),
    (49, WEB_WARN, &[SAME_ZONE], &[]),
    (49, WEB_WARN, &[SAME_ZONE, HINT_1, HINT_2], &[]),
    (
        49,
        WEB_WARN,
        &[
            SAME_ZONE,
            HINT_1,
            HINT_2,
            ("zone: z3, targetRef", "zone: z1, hints: {forZones: [{name: z1}]}, targetRef"),
        ],
        &[],
    ),
    (
        49,
        WEB_WARN,
        &[(
            META_END,
            "labels: {app: web}, annotations: {service.kubernetes.io/topology-mode: Auto}}\nspec: {type",
        )],
        &[],
    ),
    (49, "", &[SAME_ZONE, HINT_1, HINT_2, HINT_3], &[]),
    (
        49,
        "",
        &[(
            META_END,
            "labels: {app: web}, annotations: {service.kubernetes.io/topology-mode: Disabled}}\nspec: {type",
        )],
        &[],
    ),
    (49, "", &[SAME_ZONE, ALL_UNREADY], &[]),
    (50, WEB_INFO, &[("type: ClusterIP", "type: ClusterIP, trafficDistribution: PreferClose")], &[]),
    (
        50,
        WEB_INFO,
        &[
            SAME_ZONE,
            (
                META_END,
                "labels: {app: web}, annotations: {service.kubernetes.io/topology-mode: Auto}}\nspec: {type",
            ),
        ],
        &[],
    ),
    (50, "", &[SAME_ZONE], &[]),
    (
        50,
        "",
        &[(
            META_END,
            "labels: {app: web}, annotations: {service.kubernetes.io/topology-mode: Auto}}\nspec: {type",
        )],
        &[],
    ),
    (
        50,
        "",
        &[
            SAME_ZONE,
            (
                META_END,
                "labels: {app: web}, annotations: {service.kubernetes.io/topology-mode: Disabled}}\nspec: {type",
            ),
        ],
        &[],
    ),
    (51, WEB_WARN, &[B_TO_A, C_TO_A], &[]),
    (
        51,
        WEB_WARN,
        &[("zone: z2, targetRef", "zone: z1, targetRef"), ("zone: z3, targetRef", "zone: z1, targetRef")],
        &[],
    ),
    (51, "", &[C_TO_A], &[]),
    (51, "", &[], &[SOLO, SOLO_POD, SOLO_SLICE]),
    (
        51,
        "",
        &[
            ("nodeName: node-a, zone: z1, targetRef", "targetRef"),
            ("nodeName: node-b, zone: z2, targetRef", "targetRef"),
            ("nodeName: node-c, zone: z3, targetRef", "targetRef"),
        ],
        &[],
    ),
    (52, "info Service shop/solo", &[], &[SOLO, SOLO_POD, SOLO_SLICE]),
    (52, "", &[], &[SOLO, SOLO_POD, SOLO_POD_2, SOLO_SLICE]),
    (52, "", &[], &[SOLO_NO_SELECTOR, SOLO_POD, SOLO_SLICE]),
    (53, WEB_WARN, &[("type: ClusterIP", "type: ClusterIP, externalIPs: [\"2001:db8::9\"]")], &[]),
    (53, WEB_WARN, &[PREFER_DUAL, BOTH_A], &[]),
    (53, WEB_WARN, &[BOTH_A, BOTH_B, BOTH_C], &[CLIENT_V6]),
    (53, "", &[PREFER_DUAL], &[]),
    (53, "", &[BOTH_A, BOTH_B, BOTH_C], &[]),
    (53, "", &[EXTERNAL_IP], &[]),
    (55, WEB_INFO, &[], &[WEB_SERVICE]),
    (55, "info Service shop/1web", &[], &[DIGIT]),
    (55, "", &[], &[WEB_API]),
    (55, "", &[NO_LINKS], &[WEB_SERVICE, DIGIT]),
    (56, WEB_INFO, &[NODE_PORT, ("port: 80, targetPort", "port: 80, protocol: SCTP, targetPort")], &[]),
    (56, WEB_WARN, &[("port: 80, targetPort", "port: 80, protocol: SCTP, targetPort")], &[USERSPACE]),
    (
        56,
        WEB_WARN,
        &[
            ("port: 80, targetPort", "port: 80, protocol: SCTP, targetPort"),
            ("zone: z3, kubernetes.io/os: linux", "zone: z3, kubernetes.io/os: windows"),
        ],
        &[],
    ),
    (56, "", &[("port: 80, targetPort", "port: 80, protocol: SCTP, targetPort")], &[]),
    (56, "", &[NODE_PORT], &[USERSPACE]),
    (
        57,
        WEB_INFO,
        &[
            BALANCER,
            (PORTS_END, "targetPort: http}, {name: h3, port: 80, protocol: UDP, targetPort: 8080}]}"),
        ],
        &[],
    ),
    (
        57,
        "",
        &[
            NODE_PORT,
            (PORTS_END, "targetPort: http}, {name: h3, port: 80, protocol: UDP, targetPort: 8080}]}"),
        ],
        &[],
    ),
    (57, "", &[BALANCER], &[]),
    (58, WEB_WARN, &[(", readinessProbe: {httpGet: {port: http}}", "")], &[]),
    (
        58,
        WEB_WARN,
        &[(
            ", readinessProbe: {httpGet: {port: http}}}",
            "}, {name: sidecar, readinessProbe: {httpGet: {port: 15021}}}",
        )],
        &[],
    ),
    (58, WEB_INFO, &[("httpGet: {port: http}", "httpGet: {port: 8181}")], &[]),
    (58, "", &[("httpGet: {port: http}", "exec: {command: [check]}")], &[]),
    (58, "", &[("httpGet: {port: http}", "tcpSocket: {port: 8080}")], &[]),
    (58, "", &[(", readinessProbe: {httpGet: {port: http}}", ""), WOB], &[]),
    (
        59,
        WEB_INFO,
        &[("nodeName: node-a, containers", "nodeName: node-a, hostNetwork: true, containers")],
        &[],
    ),
    (
        59,
        "",
        &[("nodeName: node-a, containers", "nodeName: node-a, hostNetwork: true, containers"), FINISHED_A],
        &[],
    ),
    (59, "", &[], &[HOST_POD]),
    (
        63,
        WEB_WARN,
        &[(
            "namespace: shop, creationTimestamp",
            "namespace: shop, finalizers: [service.kubernetes.io/load-balancer-cleanup], deletionTimestamp: \"2026-01-01T12:00:00Z\", creationTimestamp",
        )],
        &[],
    ),
    (63, WEB_WARN, &[], &[NAMESPACE_GOING]),
    (
        63,
        "",
        &[(
            "namespace: shop, creationTimestamp",
            "namespace: shop, deletionTimestamp: \"2026-01-01T23:58:00Z\", creationTimestamp",
        )],
        &[],
    ),
    (
        63,
        "",
        &[(
            "namespace: shop, creationTimestamp",
            "namespace: shop, finalizers: [service.kubernetes.io/load-balancer-cleanup], creationTimestamp",
        )],
        &[],
    ),
    (63, "", &[], &[NAMESPACE_JUST_GOING]),
    (64, PROXY_INFO, &[], &[IPVS]),
    (64, PROXY_INFO, &[], &[USERSPACE]),
    (
        64,
        WEB_INFO,
        &[(
            META_END,
            "labels: {app: web}, annotations: {service.alpha.kubernetes.io/tolerate-unready-endpoints: \"true\"}}\nspec: {type",
        )],
        &[],
    ),
    (64, "info Endpoints shop/ext", &[], &[EXT, EXT_SLICE, EXT_ENDPOINTS]),
    (64, "", &[], &[NFTABLES]),
    (
        64,
        "",
        &[(
            META_END,
            "labels: {app: web}, annotations: {service.kubernetes.io/topology-mode: Disabled}}\nspec: {type",
        )],
        &[],
    ),
    (64, "", &[], &[EXT, EXT_SLICE, EXT_ENDPOINTS_VIP_MANAGED]),
    (
        65,
        WEB_INFO,
        &[(
            META_END,
            "labels: {app: web}, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"spec\":{\"clusterIP\":\"10.96.1.5\"}}'}}\nspec: {type",
        )],
        &[],
    ),
    (
        65,
        "",
        &[
            (
                META_END,
                "labels: {app: web}, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"spec\":{\"clusterIP\":\"10.96.0.200\"}}'}}\nspec: {type",
            ),
            ("10.96.1.5", "10.96.0.200"),
        ],
        &[],
    ),
    (
        65,
        "",
        &[(
            META_END,
            "labels: {app: web}, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"spec\":{\"clusterIP\":\"None\"}}'}}\nspec: {type",
        )],
        &[],
    ),
    (
        66,
        WEB_INFO,
        &[(META_END, "labels: {app: web, service.kubernetes.io/headless: \"\"}}\nspec: {type")],
        &[],
    ),
    (66, "", &[(META_END, "labels: {app: web, service.kubernetes.io/topology: x}}\nspec: {type")], &[]),
    (
        66,
        "",
        &[(META_END, "labels: {app: web}, annotations: {kubernetes.io/service-name: web}}\nspec: {type")],
        &[],
    ),
    (67, WEB_WARN, &[("type: ClusterIP", "type: LoadBalancer, allocateLoadBalancerNodePorts: false")], &[]),
    (
        67,
        "",
        &[("type: ClusterIP", "type: LoadBalancer, allocateLoadBalancerNodePorts: false"), INGRESS],
        &[],
    ),
    (67, "", &[("type: ClusterIP", "type: LoadBalancer, allocateLoadBalancerNodePorts: true")], &[]),
    (
        67,
        "",
        &[
            ("type: ClusterIP", "type: LoadBalancer, allocateLoadBalancerNodePorts: false"),
            ("2026-01-01T00:00:00Z", "2026-01-01T23:57:00Z"),
        ],
        &[],
    ),
    (68, WEB_INFO, &[("{name: http, port: 80", "{name: grpc, appProtocol: http, port: 80")], &[]),
    (
        68,
        WEB_INFO,
        &[("{name: http, port: 80", "{name: web-https, appProtocol: kubernetes.io/h2c, port: 80")],
        &[],
    ),
    (68, "", &[("{name: http, port: 80", "{name: grpc, appProtocol: kubernetes.io/h2c, port: 80")], &[]),
    (68, "", &[("{name: http, port: 80", "{name: http, appProtocol: kubernetes.io/h2c, port: 80")], &[]),
    (68, "", &[("{name: http, port: 80", "{name: grpc-web, appProtocol: http, port: 80")], &[]),
];
