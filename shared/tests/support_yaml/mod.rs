//! A small cluster in which nothing is wrong, and edits of its text, for the tests of checks and of the ladder.

/// Three nodes in three zones; Service `shop/web` with one ready, probed pod on each.
pub const HEALTHY: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: node-a, labels: {topology.kubernetes.io/zone: z1, kubernetes.io/os: linux}}, spec: {podCIDRs: [10.244.0.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}], conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-b, labels: {topology.kubernetes.io/zone: z2, kubernetes.io/os: linux}}, spec: {podCIDRs: [10.244.1.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}], conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-c, labels: {topology.kubernetes.io/zone: z3, kubernetes.io/os: linux}}, spec: {podCIDRs: [10.244.2.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.3}], conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default, creationTimestamp: "2025-01-01T00:00:00Z"}, spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: kubernetes, namespace: default, labels: {endpointslice.kubernetes.io/skip-mirror: "true"}}, subsets: [{addresses: [{ip: 192.168.0.100}], ports: [{name: https, port: 6443}]}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}, addressType: IPv4, ports: [{name: https, port: 6443, protocol: TCP}], endpoints: [{addresses: [192.168.0.100], conditions: {ready: true}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z", labels: {app: web}}
spec: {type: ClusterIP, clusterIP: 10.96.1.5, ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-x1, namespace: shop, labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}, ownerReferences: [{kind: Service, name: web, controller: true}]}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.244.0.5], nodeName: node-a, zone: z1, targetRef: {kind: Pod, namespace: shop, name: web-5d9-a}, conditions: {ready: true, serving: true, terminating: false}}
- {addresses: [10.244.1.5], nodeName: node-b, zone: z2, targetRef: {kind: Pod, namespace: shop, name: web-5d9-b}, conditions: {ready: true, serving: true, terminating: false}}
- {addresses: [10.244.2.5], nodeName: node-c, zone: z3, targetRef: {kind: Pod, namespace: shop, name: web-5d9-c}, conditions: {ready: true, serving: true, terminating: false}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop, labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}}
subsets: [{addresses: [{ip: 10.244.0.5}, {ip: 10.244.1.5}, {ip: 10.244.2.5}], ports: [{name: http, port: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d9-a, namespace: shop, labels: {app: web, pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]}
spec: {nodeName: node-a, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}
status: {phase: Running, podIP: 10.244.0.5, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d9-b, namespace: shop, labels: {app: web, pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]}
spec: {nodeName: node-b, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}
status: {phase: Running, podIP: 10.244.1.5, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d9-c, namespace: shop, labels: {app: web, pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]}
spec: {nodeName: node-c, containers: [{name: web, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}
status: {phase: Running, podIP: 10.244.2.5, conditions: [{type: Ready, status: "True"}]}
"#;

/// Every occurrence of the first of a pair becomes the second; it must occur.
pub fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "nothing to edit: {from}");
        text.replace(from, to)
    })
}
