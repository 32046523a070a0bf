/** Kernel modules that labd loads before it builds anything; a lab host can then `modprobe` them and find them loaded. */
export const kernelModules: readonly string[] = [
  ..."veth bridge overlay dummy ipip ip_gre fou sit ip6_tunnel".split(" "),
  "ip_vs",
  ..."rr wrr lc wlc sh dh mh sed nq lblc lblcr fo ovf".split(" ").map((scheduler) => `ip_vs_${scheduler}`),
  ..."nf_conntrack nf_conntrack_netlink iptable_nat iptable_filter iptable_mangle iptable_raw iptable_security".split(" "),
  ..."ip6table_nat ip6table_filter ip6table_mangle ip6table_raw ip6table_security".split(" "),
  ..."xt_ipvs xt_MASQUERADE xt_nat xt_TCPMSS xt_CT xt_mac xt_mark xt_conntrack xt_comment xt_multiport xt_addrtype xt_tcpudp xt_hashlimit ipt_REJECT".split(
    " ",
  ),
  ..."sch_netem sch_prio cls_u32 tcp_diag inet_diag udp_diag af_packet_diag".split(" "),
];
