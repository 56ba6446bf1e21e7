# What `cmake --install` puts where, and the Debian package that CPack makes of it (./dev package). Component "runtime" is the
# program with its units, documents and completion; "development" is the library (cmake/Library.cmake).

install(TARGETS adit RUNTIME COMPONENT runtime)
install(FILES README.md docs/packages.md packaging/debian/copyright COMPONENT runtime DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(DIRECTORY config/ COMPONENT runtime DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples" FILES_MATCHING PATTERN "*.toml")

# adit_unit(ROLE FILE DESCRIPTION [STATE s] [CAPABILITIES c] [PROTECT_HOME v] [PRIVATE_USERS v]): the systemd unit of a role,
# whose configuration is /etc/adit/FILE and whose folder is /var/lib/adit/STATE, by default of the role's name. Where homes and
# the machine's groups are to be seen there is a node's cookie or socket to be read.
function(adit_unit role file description)
  cmake_parse_arguments(ADIT_UNIT "" "STATE;CAPABILITIES;PROTECT_HOME;PRIVATE_USERS" "" PROTECT_HOME read-only PRIVATE_USERS no STATE ${role} ${ARGN})
  set(ADIT_UNIT_ROLE "${role}")
  set(ADIT_UNIT_FILE "${file}")
  set(ADIT_UNIT_DESCRIPTION "${description}")
  configure_file("${CMAKE_SOURCE_DIR}/packaging/systemd/adit-role.service.in" "${CMAKE_BINARY_DIR}/package/adit-${role}.service" @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/package/adit-${role}.service" COMPONENT runtime DESTINATION lib/systemd/system)
endfunction()
adit_unit(pool pool-config.toml "Stratum V2 pool (Adit)")
adit_unit(jd-server pool-config.toml "Stratum V2 job declarator server (Adit)" STATE pool)
adit_unit(jd-client jdc-config.toml "Stratum V2 job declarator client (Adit)")
adit_unit(template template-config.toml "Stratum V2 template provider (Adit)")
adit_unit(translator tproxy-config.toml "Stratum V1 miners to a Stratum V2 pool (Adit)" PROTECT_HOME yes PRIVATE_USERS yes)
if(ADIT_IROH)
  adit_unit(relay relay.toml "iroh relay (Adit)" CAPABILITIES CAP_NET_BIND_SERVICE PROTECT_HOME yes)
endif()
install(FILES packaging/systemd/adit.default COMPONENT runtime DESTINATION /etc/default RENAME adit)
install(DIRECTORY DESTINATION /etc/adit COMPONENT runtime)
install(FILES packaging/systemd/adit.sysusers COMPONENT runtime DESTINATION lib/sysusers.d RENAME adit.conf)

# The program writes its own manual pages and completion. gzip's -n leaves the time out.
install(CODE "set(ADIT_DOCDIR \"${CMAKE_INSTALL_DOCDIR}\")
  set(ADIT_PROGRAM \"$<TARGET_FILE:adit>\")
  set(ADIT_SOURCE \"${CMAKE_SOURCE_DIR}\")
  set(ADIT_BINARY \"${CMAKE_BINARY_DIR}\")" COMPONENT runtime)
install(SCRIPT cmake/InstallDocuments.cmake COMPONENT runtime)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL runtime)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGE_NAME adit)
set(CPACK_PACKAGE_VENDOR "The Adit developers")
set(CPACK_PACKAGE_CONTACT "The Adit developers <adit@users.noreply.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME adit)
set(CPACK_DEBIAN_RUNTIME_DEBUGINFO_PACKAGE ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS "bitcoind, bash-completion")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Stratum V2 mining: pool, translator, job declaration, miner")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "One program that is a Stratum V2 pool with a job declarator, a job declarator
client, a translator for Stratum V1 miners, a template provider beside a
Bitcoin node, a miner and a relay. Roles reach each other over TCP, or over
iroh: QUIC that is dialled by public key, through NATs, without port forwarding
or a VPN.")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
  "${CMAKE_SOURCE_DIR}/packaging/debian/postinst;${CMAKE_SOURCE_DIR}/packaging/debian/prerm;${CMAKE_SOURCE_DIR}/packaging/debian/postrm;${CMAKE_SOURCE_DIR}/packaging/debian/conffiles")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
